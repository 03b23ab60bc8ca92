/* SPDX-License-Identifier: Apache-2.0 */
/* The writer's core: what is refused, and that no half model is left, whatever happens. */
#include <errno.h>
#include <math.h>
#include <sys/mount.h>

#include "../../common/wire/follow.h"
#include "../../common/wire/link.h"
#include "../../common/run/journal.h"
#include "writer_run.h"

static void refuses_use(void **state)
{
    struct err e = {0};

    (void)state;
    refused("gtpq", 0, ERR_USE, "format 'gtpq'");
    refused("", 0, ERR_USE, "format ''");
    refused("gptq,", 0, ERR_USE, "format ''");
    refused("dense,dense", 0, ERR_USE, "twice");
    assert_null(
        write_open(&(struct write_opts){.model = "/nowhere", .out = out, .formats = "gptq"}, &e));
    assert_int_equal(e.kind, ERR_USE);
    assert_false(fs_exists(out));
    write_close(NULL);
}

static void refuses_models(void **state)
{
    char good[64];
    struct err e = {0};
    struct st_writer *s;
    const uint64_t shape[1] = {4};

    (void)state;
    memcpy(good, model, sizeof good);
    snprintf(model, sizeof model, "%s/bad", root);
    assert_int_equal(fs_mkdir(model, &e), 0);
    put(at("bad/config.json"), tiny_config);
    assert_non_null(s = st_create(at("bad/model.safetensors"), &e));
    assert_int_equal(st_declare(s, "model.layers.0.self_attn.q_proj.qweight", DT_I32, 1, shape, &e),
                     0);
    assert_int_equal(st_begin(s, &e), 0);
    assert_int_equal(
        st_put(s, "model.layers.0.self_attn.q_proj.qweight", "0123456789abcdef", 16, &e), 0);
    assert_int_equal(st_publish(&s, &e), 0);
    refused("gptq", 0, ERR_USE, "quantized already");
    assert_int_equal(fs_remove_tree(at("bad/model.safetensors"), &e), 0);
    assert_int_equal(fs_copy(at("model/model.safetensors"), at("bad/model.safetensors"), &e), 0);
    put(at("bad/config.json"), "{\"quantization_config\": {}, \"model_type\": \"llama\"}");
    assert_null(opened("gptq", 0, &e));
    memcpy(model, good, sizeof good);
}

static void refuses_folders(void **state)
{
    struct err e = {0};
    struct writer *w;
    char good[64];

    (void)state;
    put(out, "a file");
    refused("gptq", 1, ERR_USE, "not a folder");
    memcpy(good, out, sizeof good);
    snprintf(out, sizeof out, "%s/out/below", root);
    refused("gptq", 0, ERR_USE, "below");
    memcpy(out, good, sizeof good);
    assert_int_equal(fs_remove_tree(out, &e), 0);
    assert_int_equal(fs_mkdir(out, &e), 0);
    put(at("@thesis.txt"), "years of work");
    refused("gptq", 1, ERR_USE, "holds something else ('thesis.txt')");
    assert_true(fs_exists(at("@thesis.txt")));
    assert_false(fs_exists(at("@" FOLLOW_DIR)));
    assert_int_equal(fs_remove_tree(at("@thesis.txt"), &e), 0);

    w = need_open("gptq", 0); /* an empty folder will do */
    refused("gptq", 1, ERR_USE, "another ptq-write");
    write_close(&w);
    w = need_open("gptq", 0); /* nothing was committed: nothing is lost */
    assert_int_equal(give(w, 5, &(struct tiny_opts)TINY_OPTS, &e), 1);
    write_close(&w);
    refused("gptq", 0, ERR_USE, "unfinished run");
    w = need_open("gptq", 1);
    assert_false(fs_exists(at("@" FOLLOW_PARTS "/00005.ptq")));
    write_close(&w);
}

static void refuses_foreign_files_in_an_earlier_output(void **state)
{
    struct err e = {0};

    (void)state;
    whole_run("gptq,dense", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    refused("gptq", 0, ERR_USE, "finished output");
    put(at("@dense/notes.md"), "mine");
    refused("gptq", 1, ERR_USE, "dense/notes.md");
    assert_true(fs_exists(at("@gptq/config.json")));
    assert_int_equal(fs_remove_tree(at("@dense/notes.md"), &e), 0);
    whole_run("dense", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    assert_false(fs_exists(at("@gptq")));
    assert_true(fs_exists(at("@config.json")));
}

static void refuses_solutions(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    struct err e = {0};
    struct writer *w = need_open("gptq", 0);
    struct msg *m = msg_create(MSG_PROBLEM, "test", &e);

    (void)state;
    assert_int_equal(write_solution(w, &m, &e), -1);
    assert_null(m);
    assert_non_null(strstr(e.text, "not a solution"));
    m = tiny_solution(model, 3, &o);
    json_set_int(m->meta, "sites", 12);
    assert_int_equal(write_solution(w, &m, &e), WRITE_REFUSED);
    assert_non_null(strstr(e.text, "12 sites"));
    m = tiny_solution(model, 3, &o);
    json_set_int(m->meta, "block", 1);
    assert_int_equal(write_solution(w, &m, &e), WRITE_REFUSED);
    assert_non_null(strstr(e.text, "field 'id' must be 'b1.mlp.down'"));
    m = tiny_solution(model, 3, &o);
    json_set_int(m->meta, "block", 1);
    assert_int_equal(msg_set_id(m, &e, "b1.mlp.down"), 0);
    assert_int_equal(write_solution(w, &m, &e), WRITE_REFUSED);
    assert_non_null(strstr(e.text, "block 1 mlp.down"));
    m = tiny_solution(model, 3, &o);
    json_set_int(m->meta, "order", 7);
    assert_int_equal(write_solution(w, &m, &e), WRITE_REFUSED);
    m = tiny_solution(model, 4, &o); /* block 1's linears in block 0's place */
    json_set_int(m->meta, "order", 0);
    json_set_int(m->meta, "block", 0);
    assert_int_equal(msg_set_id(m, &e, "b0.attn.qkv"), 0);
    assert_int_equal(write_solution(w, &m, &e), WRITE_REFUSED);
    assert_non_null(strstr(e.text, "has no linear 'model.layers.1."));
    m = tiny_solution(model, 0, &o);
    ((uint16_t *)msg_tensor(m, "model.layers.0.self_attn.q_proj.scales")->data)[5] = 0x7e00;
    assert_int_equal(write_solution(w, &m, &e), WRITE_REFUSED);
    assert_non_null(strstr(e.text, "q_proj.scales"));
    for (size_t i = 0; i < 4; i++) { /* 0, below 0, the largest number, -0 in F16 */
        static const uint16_t scale[] = {0, 0x9c00, 0x7bff, 0x8000};

        m = tiny_solution(model, 0, &o);
        ((uint16_t *)msg_tensor(m, "model.layers.0.self_attn.q_proj.scales")->data)[5] = scale[i];
        assert_int_equal(write_solution(w, &m, &e), WRITE_REFUSED);
        assert_int_equal(e.kind, ERR_USE);
        assert_non_null(strstr(e.text, "'model.layers.0.self_attn.q_proj.scales'"));
        assert_non_null(strstr(e.text, i == 2 ? "no engine can hold them" : "must be above 0"));
    }
    m = tiny_solution(model, 0, &o);
    ((uint8_t *)msg_tensor(m, "model.layers.0.self_attn.k_proj.codes")->data)[9] = 16;
    assert_int_equal(write_solution(w, &m, &e), WRITE_REFUSED);
    assert_non_null(strstr(e.text, "k_proj.codes"));
    assert_int_equal(write_plan(w)->done, 0);
    assert_int_equal(write_finish(w, &e), -1);
    assert_int_equal(e.kind, ERR_DATA);
    assert_non_null(strstr(e.text, "8 of 8 sites"));
    write_close(&w);
}

static void refuses_linears(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    struct err e = {0};
    struct writer *w = need_open("gptq", 0);
    struct solution_view v;
    struct msg *m = tiny_solution(model, 2, &o), *less;

    (void)state;
    assert_int_equal(solution_read(m, &v, &e), 0);
    v.nlinears = 1; /* without the other linear of the site */
    assert_non_null(less = solution_create(&v, "test", &e));
    tiny_solve(less, &v.linear[0], &o);
    assert_int_equal(write_solution(w, &less, &e), WRITE_REFUSED);
    assert_non_null(strstr(e.text, "lacks 'model.layers.0.mlp.gate_proj'"));
    v.nlinears = 2;
    v.linear[1].N = 32; /* fewer rows than the model */
    assert_non_null(less = solution_create(&v, "test", &e));
    tiny_solve(less, &v.linear[0], &o);
    tiny_solve(less, &v.linear[1], &o);
    assert_int_equal(write_solution(w, &less, &e), WRITE_REFUSED);
    assert_non_null(strstr(e.text, "[32, 64], the model has [96, 64]"));
    v.linear[1].N = 96;
    v.linear[1].name = "model.layers.0.mlp.side_proj";
    assert_non_null(less = solution_create(&v, "test", &e));
    tiny_solve(less, &v.linear[0], &o);
    tiny_solve(less, &v.linear[1], &o);
    assert_int_equal(write_solution(w, &less, &e), WRITE_REFUSED);
    assert_non_null(strstr(e.text, "has no linear 'model.layers.0.mlp.side_proj'"));
    msg_destroy(&m);
    write_close(&w);
}

static void refuses_what_gptq_cannot_store(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    struct err e = {0};
    struct writer *w = need_open("dense,gptq", 0);

    (void)state;
    o.scale_type = DT_F32;
    give_refused(w, 0, &o, "--scale-type f16");
    o = (struct tiny_opts)TINY_OPTS;
    o.group = 64; /* divides 64, not the 96 inputs of mlp.down */
    give_refused(w, 3, &o, "down_proj': group 64");
    o = (struct tiny_opts)TINY_OPTS;
    assert_int_equal(give(w, 0, &o, &e), 1);
    o = (struct tiny_opts)TINY_OPTS;
    o.scale_type = DT_BF16;
    give_refused(w, 1, &o, "BF16");
    o = (struct tiny_opts)TINY_OPTS;
    o.asym = 1;
    struct msg *m = tiny_solution(model, 1, &o);
    ((uint8_t *)msg_tensor(m, "model.layers.0.self_attn.o_proj.zeros")->data)[3] = 0;
    assert_int_equal(write_solution(w, &m, &e), -1);
    assert_non_null(strstr(e.text, "zero point 0 (row 1, group 1)"));
    write_close(&w);
}

static void duplicates(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    struct err e = {0};
    struct writer *w = need_open("gptq", 0);
    struct msg *m;

    (void)state;
    assert_int_equal(give(w, 2, &o, &e), 1);
    assert_int_equal(give(w, 2, &o, &e), 0);
    m = tiny_solution(model, 2, &o);
    json_set_real(m->meta, "seconds", 9); /* another machine, the same codes */
    assert_int_equal(write_solution(w, &m, &e), 0);
    m = tiny_solution(model, 2, &o);
    ((uint8_t *)msg_tensor(m, "model.layers.0.mlp.up_proj.codes")->data)[0] ^= 1;
    assert_int_equal(write_solution(w, &m, &e), WRITE_REFUSED);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "another solution of block 0 mlp.up came before"));
    m = tiny_solution(model, 2, &o); /* of another solver: the first counts */
    ((uint8_t *)msg_tensor(m, "model.layers.0.mlp.up_proj.codes")->data)[0] ^= 1;
    assert_int_equal(
        json_set(m->meta, "prov", json_parse("[{\"stage\":\"other\"}]", 19, "prov", &e)), 0);
    assert_int_equal(write_solution(w, &m, &e), 0);
    assert_int_equal(write_plan(w)->done, 1);
    assert_int_equal(write_commit(w, 2, &m, &e), 0);
    assert_int_equal(m->kind, MSG_COMMIT);
    msg_destroy(&m);
    assert_int_equal(write_commit(w, 3, &m, &e), -1);
    write_close(&w);
}

static struct writer *going_on(uint64_t from, struct err *e)
{
    return write_open(
        &(struct write_opts){.model = model, .out = out, .formats = "gptq", .from_site = from}, e);
}

static void not_taken_over(uint64_t from, const char *text)
{
    struct err e = {0};

    assert_null(going_on(from, &e));
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
}

static struct writer *from_parts(const char *formats, struct err *e)
{
    return write_open(
        &(struct write_opts){.model = model, .out = out, .formats = formats, .from_parts = 1}, e);
}

/* Does the output hold this tensor? */
static int holds(const char *name)
{
    struct err e = {0};
    struct st_set *s = st_open_folder(out, &e);
    int there = s && st_find(s, name);

    st_close(&s);
    return there;
}

/* Sites in any order, of which one is damaged: those that are whole are written, the others are the
 * source's. */
static void finished_parts_are_assembled(void **state)
{
    static const size_t there[] = {0, 1, 4, 6};
    struct tiny_opts o = TINY_OPTS;
    struct err e = {0};
    struct writer *w;
    const char *why;
    char *text;
    size_t n;

    (void)state;
    assert_null(from_parts("gptq", &e));
    assert_non_null(strstr(e.text, "holds no parts of a run"));
    assert_false(fs_exists(out));
    w = need_open("gptq", 0);
    write_close(&w);
    e = (struct err){0};
    assert_null(from_parts("gptq", &e));
    assert_int_equal(e.kind, ERR_DATA);
    assert_non_null(strstr(e.text, "holds no finished part"));
    w = need_open("gptq", 0);
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        assert_int_equal(give(w, there[i], &o, &e), 1);
    write_close(&w);
    assert_int_equal(truncate(at("@" FOLLOW_PARTS "/00001.ptq"), 100), 0);
    if (!(w = from_parts("gptq", &e)))
        fail_msg("%s", e.text);
    assert_int_equal(write_left(w, &why), TINY_SITES - 3);
    assert_non_null(why);
    assert_non_null(strstr(why, "00001.ptq"));
    if (write_finish(w, &e))
        fail_msg("%s", e.text);
    write_close(&w);
    for (size_t i = 0; i < TINY_SITES; i++) {
        struct msg *m = tiny_solution(model, i, &o);
        const struct json *first = json_at(json_get(m->meta, "linears"), 0);
        char name[256];
        const int done = i == 0 || i == 4 || i == 6;

        snprintf(name, sizeof name, "%s.qweight", json_as_text(json_get(first, "name")));
        assert_int_equal(holds(name), done);
        snprintf(name, sizeof name, "%s.weight", json_as_text(json_get(first, "name")));
        assert_int_equal(holds(name), !done);
        msg_destroy(&m);
    }
    assert_non_null(text = fs_read(at("@README.md"), 1 << 16, &n, &e));
    assert_non_null(strstr(text, "ended early: 5 of 8 sites, the first of them attn.o of block 0"));
    free(text);
    assert_non_null(text = fs_read(at("@" FOLLOW_DIR "/"
                                      "journal.jsonl"),
                                   1 << 20, &n, &e));
    assert_non_null(strstr(text, "\"from_parts\""));
    free(text);
    assert_null(from_parts("gptq", &e)); /* it is finished, and its parts are gone */
}

/* What an earlier run has committed is checked as if it came now. */
static void takes_over_an_unfinished_run(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    struct err e = {0};
    struct writer *w = need_open("gptq", 0);
    struct msg *m;
    char *part;
    size_t n;

    (void)state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(give(w, i, &o, &e), 1);
    write_close(&w);
    refused("gptq", 0, ERR_USE, "unfinished run");
    not_taken_over(5, "00004.ptq");
    not_taken_over(TINY_SITES + 1, "--from-site 9: the model has 8 sites");
    assert_non_null(part = fs_read(at("@" FOLLOW_PARTS "/00001.ptq"), 1 << 20, &n, &e));
    part[n / 2] ^= 1;
    assert_int_equal(fs_publish(at("@" FOLLOW_PARTS "/00001.ptq"), part, n, &e), 0);
    not_taken_over(3, "00001.ptq");
    part[n / 2] ^= 1;
    assert_int_equal(fs_publish(at("@" FOLLOW_PARTS "/00001.ptq"), part, n, &e), 0);
    free(part);
    if (!(w = going_on(3, &e)))
        fail_msg("%s", e.text);
    assert_int_equal(write_plan(w)->done, 3); /* 3 is made anew */
    assert_false(fs_exists(at("@" FOLLOW_PARTS "/00003.ptq")));
    assert_int_equal(write_commit(w, 2, &m, &e), 0);
    msg_destroy(&m);
    for (size_t i = 3; i < TINY_SITES; i++)
        assert_int_equal(give(w, i, &o, &e), 1);
    if (write_finish(w, &e) < 0)
        fail_msg("%s", e.text);
    write_close(&w);
    not_taken_over(3, "finished output");
}

/* Only the writer was lost: the others never send a site again that was committed. */
static void keeps_what_its_run_has_committed(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    struct err e = {0};
    struct writer *w = need_open("gptq", 0);
    struct msg *m;

    (void)state;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(give(w, i == 2 ? 5 : i, &o, &e), 1);
    write_close(&w);
    put(at("@" FOLLOW_PARTS "/00006.ptq"), "not journaled");
    w = write_open(
        &(struct write_opts){
            .model = model, .out = out, .formats = "gptq", .from_site = 2, .same_run = 1},
        &e);
    if (!w)
        fail_msg("%s", e.text);
    assert_int_equal(write_plan(w)->done, 5);
    assert_int_equal(write_commit(w, 5, &m, &e), 0);
    msg_destroy(&m);
    assert_false(fs_exists(at("@" FOLLOW_PARTS "/00006.ptq")));
    for (size_t i = 2; i < TINY_SITES; i++)
        assert_int_equal(give(w, i, &o, &e), i == 2 || i > 5);
    if (write_finish(w, &e) < 0)
        fail_msg("%s", e.text);
    write_close(&w);
}

/* While a run goes on, and after one that failed, nothing can be loaded. */
static void no_half_model(void **state)
{
    struct err e = {0};
    struct writer *w;
    char **names;
    size_t count, n;
    char *why;

    (void)state;
    whole_run("gptq", &(struct tiny_opts)TINY_OPTS, 0, 1, 0);
    w = need_open("gptq", 1);
    for (size_t i = 0; i < TINY_SITES - 1; i++)
        assert_int_equal(give(w, i, &(struct tiny_opts)TINY_OPTS, &e), 1);
    assert_int_equal(write_finish(w, &e), -1);
    assert_non_null(
        strstr(e.text, "1 of 8 sites has no solution, the first is site 7 (block 1 mlp.down)"));
    write_fail(w, &e);
    write_close(&w);
    assert_int_equal(fs_list(out, &names, &count, &e), 0);
    assert_int_equal(count, 1);
    assert_string_equal(names[0], FOLLOW_DIR);
    fs_names_free(&names, count);
    assert_non_null(why = fs_read(at("@" FOLLOW_FAILED), 1000, &n, &e));
    assert_non_null(strstr(why, "no solution"));
    free(why);
}

static void worst_and_journal(void **state)
{
    struct tiny_opts o = TINY_OPTS;
    struct err e = {0};
    struct writer *w = need_open("gptq", 0);
    struct write_row rows[3];
    char *text, *line;
    size_t n;
    double loss, rel;

    (void)state;
    assert_int_equal(write_worst(w, rows, 3), 0);
    for (size_t i = 0; i < TINY_SITES; i++) {
        o.rel_loss = i == 4 ? 0.5 : 0;
        assert_int_equal(give(w, i, &o, &e), 1);
    }
    assert_int_equal(write_worst(w, rows, 3), 3);
    assert_int_equal(rows[0].order, 4);
    assert_int_equal(rows[1].order, 7);
    assert_int_equal(rows[2].order, 6);
    assert_true(fabs(rows[0].rel_loss - 0.505) < 1e-12); /* all three linears have it */
    assert_non_null(strstr(rows[0].linear, "model.layers.1.self_attn."));
    assert_int_equal(write_worst(w, rows, 0), 0);
    assert_int_equal(write_finish(w, &e), 0);
    assert_int_equal(write_sizes(w)->formats, 1);
    assert_true(write_sizes(w)->format[0].bytes < write_sizes(w)->source);
    assert_true(fabs(write_sizes(w)->bits - (4 + 20.0 / 32)) < 1e-12);
    write_close(&w);
    assert_non_null(text = fs_read(at("@" FOLLOW_DIR "/journal.jsonl"), 1 << 20, &n, &e));
    assert_int_equal(journal_lines(), 1 + TINY_SITES + 2);
    line = strstr(text, "\"order\":4,");
    assert_non_null(line);
    *strchr(line, '\n') = '\0';
    while (line[-1] != '\n')
        line--;
    struct json *r = json_parse(line, strlen(line), "line", &e);
    assert_int_equal(json_need_real(r, "loss", &loss, "line", &e), 0);
    assert_int_equal(json_need_real(r, "rel_loss", &rel, "line", &e), 0);
    assert_true(loss == 6 && fabs(rel - 0.505) < 1e-12);
    assert_int_equal(json_count(json_get(r, "linears")), 3);
    assert_non_null(json_get(r, "wall"));
    assert_non_null(json_get(r, "ess"));
    json_destroy(&r);
    free(text);
}

static int unmount_out(void **state)
{
    umount2(out, MNT_DETACH);
    return remove_out(state);
}

/* A file system of a few pages: the parts do not fit, or the checkpoint beside them does not. */
static void full_disk(void **state)
{
    static const char *const sizes[] = {"size=28k", "size=104k"};
    struct tiny_opts o = TINY_OPTS;

    (void)state;
    if (geteuid() != 0) {
        print_message("skip: only root can mount a small file system\n");
        skip();
    }
    for (size_t i = 0; i < 2; i++) {
        struct err e = {0};
        struct writer *w;
        struct journal *j;
        char **names;
        size_t count, taken = 0;
        int rc = 1;

        assert_int_equal(fs_mkdir(out, &e), 0);
        if (mount("none", out, "tmpfs", 0, sizes[i])) {
            print_message("skip: cannot mount a tmpfs here: %s\n", strerror(errno));
            skip();
        }
        w = need_open("dense", 0);
        for (; taken < TINY_SITES && rc == 1; taken += rc == 1)
            rc = give(w, taken, &o, &e);
        if (rc == 1)
            rc = write_finish(w, &e);
        assert_int_equal(rc, -1);
        assert_int_equal(taken == TINY_SITES, i);
        assert_int_equal(e.kind, ERR_SYS);
        assert_non_null(strstr(e.text, strerror(ENOSPC)));
        write_fail(w, &e);
        write_close(&w);
        assert_int_equal(fs_list(out, &names, &count, &e), 0);
        assert_int_equal(count, 1);
        fs_names_free(&names, count);
        assert_non_null(j = journal_open(at("@" FOLLOW_DIR "/journal.jsonl"), &e));
        assert_int_equal(journal_count(j), 1 + taken);
        journal_close(&j);
        assert_int_equal(umount(out), 0);
    }
}

/* DIR: a model and files of solutions, for scenes. */
static int make_files(const char *dir)
{
    static const struct {
        const char *name;
        size_t sites;
        struct tiny_opts o;
    } files[] = {
        {"good.ptq", TINY_SITES, TINY_OPTS},
        {"short.ptq", TINY_SITES - 1, TINY_OPTS},
        {"zeros.ptq", TINY_SITES, {4, 32, DT_F16, -1, 0, NULL}},
        {"f32.ptq", TINY_SITES, {4, 32, DT_F32, 0, 0, NULL}},
    };
    struct err e = {0};
    char path[600];

    snprintf(model, sizeof model, "%s", "model");
    tiny_need(chdir(dir) == 0, &e);
    tiny_model("model");
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        struct link *l;

        snprintf(path, sizeof path, "%s", files[f].name);
        tiny_need(!!(l = link_open(path, LINK_OUT, &(struct link_opts){.name = "solve"}, &e)), &e);
        for (size_t i = files[f].sites; i-- > 0;) {
            struct msg *m = tiny_solution("model", i, &files[f].o);

            if (files[f].o.asym < 0)
                ((uint8_t *)m->tensors[2].data)[0] = 0;
            tiny_need(link_send(l, &m, &e) == 0, &e);
        }
        tiny_need(link_end(l, 1, NULL, &e) == 0, &e);
        link_close(&l);
    }
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(refuses_use, remove_out),
        cmocka_unit_test_teardown(refuses_models, remove_out),
        cmocka_unit_test_teardown(refuses_folders, remove_out),
        cmocka_unit_test_teardown(refuses_foreign_files_in_an_earlier_output, remove_out),
        cmocka_unit_test_teardown(refuses_solutions, remove_out),
        cmocka_unit_test_teardown(refuses_linears, remove_out),
        cmocka_unit_test_teardown(refuses_what_gptq_cannot_store, remove_out),
        cmocka_unit_test_teardown(finished_parts_are_assembled, remove_out),
        cmocka_unit_test_teardown(takes_over_an_unfinished_run, remove_out),
        cmocka_unit_test_teardown(keeps_what_its_run_has_committed, remove_out),
        cmocka_unit_test_teardown(duplicates, remove_out),
        cmocka_unit_test_teardown(no_half_model, remove_out),
        cmocka_unit_test_teardown(worst_and_journal, remove_out),
        cmocka_unit_test_teardown(full_disk, unmount_out),
    };

    if (argc == 3 && strcmp(argv[1], "--make") == 0)
        return make_files(argv[2]);
    return cmocka_run_group_tests_name("write", tests, make_root, remove_root);
}
