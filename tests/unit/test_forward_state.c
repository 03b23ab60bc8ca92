/* SPDX-License-Identifier: Apache-2.0 */
/* forward_state: a run that ended while it waited for any of its commits goes on where it was, to
 * the messages of a whole run, and runs no chunk to what it had passed; kept states that are torn,
 * of another run, or of what is not committed are not used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../common/wire/frame.h"
#include "forward_run.h"

#define MOE "tests/golden/conformance/minimax_m2"

static char at[] = "/tmp/ptqflow-test-XXXXXX";

static int folder_make(void **state)
{
    (void)state;
    strcpy(at + sizeof at - 7, "XXXXXX");
    return mkdtemp(at) ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    return fs_remove_tree(at, NULL);
}

/* ---- what a run does ---- */

static uint64_t order_of(const struct msg *m)
{
    int64_t order = -1;

    assert_int_equal(json_as_int(json_get(m->meta, "order"), &order), 0);
    return (uint64_t)order;
}

static void whole_run(const char *dir, const struct forward_opts *o, struct recorder *a)
{
    struct err e = {0};

    if (run(dir, o, a, commit_8bit, &e) < 0)
        fail_msg("%s", e.text);
}

/* Its states are in the folder. */
static void lose(const char *dir, struct forward_opts *o, const struct recorder *a, size_t site)
{
    struct recorder b = {.first = a, .lost = site, .golden = a->golden, .vocab = a->vocab};
    struct err e = {0};

    o->from_site = 0;
    if (run(dir, o, &b, commit_8bit, &e) < 0)
        assert_string_equal(e.text, "lost");
    else
        assert_int_equal(b.asked, site); /* behind the last stop nothing is waited for */
    recorder_clear(&b);
}

/* Behind so many sites, to the messages of the whole run; b says where it went on. */
static void go_on(const char *dir, struct forward_opts *o, const struct recorder *a, size_t from,
                  struct recorder *b)
{
    struct err e = {0};
    size_t skipped = 0;

    *b = (struct recorder){.first = a, .golden = a->golden, .vocab = a->vocab};
    o->from_site = from;
    if (run(dir, o, b, commit_8bit, &e) < 0)
        fail_msg("%s", e.text);
    while (skipped < a->n && order_of(a->m[skipped]) < from)
        skipped++;
    assert_int_equal(b->n, a->n - skipped);
    for (size_t i = 0; i < b->n; i++)
        assert_int_equal(msg_checksum(b->m[i]), msg_checksum(a->m[i + skipped]));
    recorder_clear(b);
}

/* site "": before the block. bad: part of why a state is not used; "": all are. */
static void goes_from(struct forward_opts *o, const struct recorder *a, size_t from, size_t going,
                      size_t block, const char *site, const char *bad)
{
    struct recorder b;

    go_on(DIR, o, a, from, &b);
    assert_int_equal(b.going, going);
    assert_int_equal(b.block, block);
    assert_string_equal(b.site, site);
    if (!strstr(b.bad, bad) || !*b.bad != !*bad)
        fail_msg("not used: '%s'", b.bad);
}

/* ---- at each stop ---- */

/* Wherever in a block with one before it a run of the model was lost, and at its end. */
static void lost_anywhere(const char *dir, struct forward_opts *o, uint64_t vocab)
{
    const int all = o->expert.every;
    struct recorder a = {.golden = dir, .vocab = vocab}, b;
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct model *m = model_open(dir, par, &e);
    const struct sites *sites = model_sites(m);

    o->state = NULL;
    o->from_site = 0;
    whole_run(dir, o, &a);
    o->state = at;
    for (size_t i = sites->first[1]; i < sites->count; i++) {
        const struct site *s = &sites->site[i], *to = s;

        if ((s[-1].block == s->block && s[-1].stop == s->stop) ||
            (i > sites->end[1] && i + 1 < sites->count))
            continue;
        while (all && to->expert >= 0)
            to--;
        o->mem = o->mem_rows = i & 1 ? 1 : 1 << 30; /* all in the spill file */
        lose(dir, o, &a, i);
        go_on(dir, o, &a, i, &b);
        assert_string_equal(b.bad, "");
        assert_int_equal(b.going, to->block || to->stop ? 2 : 0);
        assert_int_equal(b.block, to->block);
        assert_string_equal(b.site, to->stop ? to->name : "");
        assert_string_equal(b.ran, to == s ? s->name : to[1].name);
        assert_int_equal(b.ran_block, to->block);
        assert_int_equal(fs_remove_tree(at, &e), 0);
    }
    recorder_clear(&a);
    model_close(&m);
    par_close(&par);
}

static void it_goes_on_where_it_was(void **state)
{
    struct forward_opts o = {.acts = DT_BF16, .order = FORWARD_SITE, .tmp = "/tmp"};

    (void)state;
    lost_anywhere(DIR, &o, 320);
}

static void both_ways_and_weights_go_on(void **state)
{
    struct forward_opts o = {.acts = DT_F32,
                             .order = FORWARD_SITE,
                             .tmp = "/tmp",
                             .dual = 1,
                             .attention_weights = 1,
                             .weight_min = 0.01};

    (void)state;
    lost_anywhere(DIR, &o, 320);
}

static void experts_go_on(void **state)
{
    struct forward_opts o = {.acts = DT_BF16, .order = FORWARD_SITE, .tmp = "/tmp"};

    (void)state;
    lost_anywhere(MOE, &o, 64);
    o.expert.every = 1; /* their rows are of all tokens */
    lost_anywhere(MOE, &o, 64);
}

/* ---- what is not used ---- */

struct kept_file {
    char path[64];
    char *bytes;
    size_t n;
};

static void take(struct kept_file *f, const char *name)
{
    struct err e = {0};

    snprintf(f->path, sizeof f->path, "%s/%s", at, name);
    if (!(f->bytes = fs_read(f->path, 1 << 24, &f->n, &e)))
        fail_msg("%s", e.text);
}

static void put(const struct kept_file *f, size_t n)
{
    assert_int_equal(fs_publish(f->path, f->bytes, n, NULL), 0);
}

/* What came to be while a run went on is as it was again. */
static void restore(const struct kept_file f[4])
{
    for (int i = 0; i < 4; i++)
        put(&f[i], f[i].n);
}

static void take_all(struct kept_file f[4])
{
    take(&f[0], "00000.ptq");
    take(&f[1], "00000.stop");
    take(&f[2], "00001.ptq");
    take(&f[3], "00001.stop");
}

static void free_all(struct kept_file f[4])
{
    for (int i = 0; i < 4; i++)
        free(f[i].bytes);
}

/* Where the rest of the only chunk begins, behind the room for its stream. */
static size_t rest_of(const struct kept_file *f)
{
    const char *second = memmem(f->bytes + 4, f->n - 4, "PTQ1", 4);

    assert_non_null(second);
    return (size_t)(second - f->bytes);
}

static void torn_ones_are_not_used(void **state)
{
    struct forward_opts o = {
        .acts = DT_BF16, .order = FORWARD_SITE, .mem = 1 << 30, .mem_rows = 1 << 30, .tmp = "/tmp"};
    struct recorder a = {.n = 0};
    struct kept_file f[4], before;

    (void)state;
    whole_run(DIR, &o, &a);
    o.state = at;
    lose(DIR, &o, &a, 5);
    take(&before, "00000.stop");
    lose(DIR, &o, &a, 7);
    take_all(f);
    put(&before, before.n); /* lanes at different stops */
    goes_from(&o, &a, 7, 2, 1, "attn.o", "");
    restore(f);
    put(&f[3], f[3].n - 10);
    goes_from(&o, &a, 7, 2, 1, "", "00001.stop: truncated");
    for (int stream = 0; stream < 2; stream++) {
        char *byte = &f[3].bytes[stream ? 5000 : f[3].n - 1];

        *byte ^= 1;
        restore(f);
        goes_from(&o, &a, 7, 2, 1, "", "damaged");
        *byte ^= 1;
    }
    restore(f);
    put(&f[3], rest_of(&f[3])); /* lost before it was written */
    goes_from(&o, &a, 7, 2, 1, "", "");
    restore(f);
    put(&f[3], 0);
    put(&f[2], f[2].n - 1);
    goes_from(&o, &a, 7, 1, 0, "", "00001.ptq: truncated");
    restore(f);
    put(&f[2], f[2].n - 1); /* inside it is all there */
    goes_from(&o, &a, 7, 2, 1, "mlp.down", "00001.ptq: truncated");
    restore(f);
    put(&f[2], 0);
    put(&before, before.n); /* its stream is the one before the block, of another lane */
    goes_from(&o, &a, 7, 2, 1, "attn.o", "00001.ptq' ends before chunk 1");
    restore(f);
    put(&f[0], 0);
    put(&before, before.n);
    goes_from(&o, &a, 7, 1, 0, "", "00000.stop': chunk 0 has not the stream of block 1");
    free_all(f);
    free(before.bytes);
    recorder_clear(&a);
}

static void earlier_and_later_ones(void **state)
{
    struct forward_opts o = {
        .acts = DT_BF16, .order = FORWARD_SITE, .mem = 1 << 30, .mem_rows = 1 << 30, .tmp = "/tmp"};
    struct recorder a = {.n = 0}, b;
    struct kept_file f[4];
    struct err e = {0};

    (void)state;
    whole_run(DIR, &o, &a);
    o.state = at;
    lose(DIR, &o, &a, 8); /* inside: the last stop of block 1 still */
    take_all(f);
    goes_from(&o, &a, 8, 2, 2, "", "");
    restore(f);
    put(&f[2], f[2].n / 2);
    goes_from(&o, &a, 8, 2, 1, "mlp.down", "00001.ptq: truncated");
    restore(f);
    goes_from(&o, &a, 7, 2, 1, "mlp.down", "of block 2, but not all before that is committed");
    restore(f);
    goes_from(&o, &a, 6, 0, 0, "", "of mlp.down of block 1, but not all before that is committed");
    lose(DIR, &o, &a, 6);
    goes_from(&o, &a, 5, 2, 1, "", "of mlp.up of block 1, but not all before that is committed");
    lose(DIR, &o, &a, 7);
    b = (struct recorder){.first = &a, .other_codes = 1};
    o.from_site = 7;
    assert_int_equal(run(DIR, &o, &b, commit_8bit, &e), -1);
    assert_non_null(strstr(e.text, "00000.stop' was made with other commits than those before "
                                   "mlp.down of block 1: remove the folder"));
    recorder_clear(&b);
    b = (struct recorder){.first = &a, .other_codes = 1};
    lose(DIR, &o, &a, 8);
    o.from_site = 8;
    assert_int_equal(run(DIR, &o, &b, commit_8bit, &e), -1);
    assert_non_null(strstr(e.text, "00000.ptq' was made with other commits than those before "
                                   "block 2: remove the folder"));
    recorder_clear(&b);
    o.attention_weights = 1; /* of another run */
    o.weight_min = 0.01;
    lose(DIR, &o, &a, 7);
    o.attention_weights = 0;
    goes_from(&o, &a, 7, 0, 0, "", "00001.stop': it is of run ");
    o.dual = 1; /* and with other places in the files */
    lose(DIR, &o, &a, 7);
    o.dual = 0;
    goes_from(&o, &a, 7, 0, 0, "", "00001.stop");
    free_all(f);
    recorder_clear(&a);
}

/* The message in a file at a byte, changed. */
static void change(const struct kept_file *f, size_t byte, const char *field, struct json *value,
                   const char *tensor)
{
    const struct frame_limits limits = FRAME_LIMITS_DEFAULT;
    struct err e = {0};
    size_t used;
    struct msg *m = frame_parse(f->bytes + byte, f->n - byte, &limits, &used, &e);
    int fd = open(f->path, O_WRONLY);

    assert_non_null(m);
    assert_true(fd >= 0 && lseek(fd, (off_t)byte, SEEK_SET) >= 0);
    if (field)
        assert_int_equal(json_set(m->meta, field, value), 0);
    if (tensor)
        msg_drop(m, tensor);
    assert_int_equal(frame_write(fd, m, FRAME_RAW, f->path, NULL, &e), 0);
    close(fd);
    msg_destroy(&m);
}

static void messages_that_do_not_fit(void **state)
{
    struct forward_opts o = {
        .acts = DT_BF16, .order = FORWARD_SITE, .mem = 1 << 30, .mem_rows = 1 << 30, .tmp = "/tmp"};
    const struct {
        const char *field;
        int64_t value; /* -2: a text; no field: the tensor is gone */
        const char *bad;
    } t[] = {{"stop", 2, "tensor 'kept' is not the "},
             {"stop", 4, "has no such stop 4"},
             {"stop", 0, "field 'stream' is 2 behind stop 0"},
             {"stop", -1, "field 'stop' is no stop"},
             {"block", 99, "block 99 has no such stop 3"},
             {"block", -1, "has no such stop 3"},
             {"chunk", 0, "is not the state of chunk 1 here"},
             {"commits", 1, "field 'commits' is no digest"},
             {"commits", -2, "field 'commits' is no digest"},
             {"stream_commits", -2, "field 'stream_commits' is no digest"},
             {"stream", 1, "has not the stream of block 1 that its rows go with"},
             {"stream", 0, "has not the stream of block 1 that its rows go with"},
             {"stream", 4, "field 'stream' is 4 behind stop 3"},
             {NULL, 0, "tensor 'kept' is not the "}};
    struct recorder a = {.n = 0};
    struct kept_file f[4];

    (void)state;
    whole_run(DIR, &o, &a);
    o.state = at;
    lose(DIR, &o, &a, 7);
    take_all(f);
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct json *value = NULL;

        if (t[i].field)
            value = t[i].value == -2 ? json_new_text("0123456789abcdeg") : json_new_int(t[i].value);
        restore(f);
        change(&f[3], rest_of(&f[3]), t[i].field, value, t[i].field ? NULL : "kept");
        goes_from(&o, &a, 7, 2, 1, "", t[i].bad);
    }
    restore(f);
    change(&f[1], 0, "lane", json_new_int(1), NULL);
    goes_from(&o, &a, 7, 2, 1, "", "00000.stop'");
    restore(f);
    change(&f[2], 0, "stop", json_new_int(1), NULL);
    goes_from(&o, &a, 7, 2, 1, "mlp.down", "is of another block or of other commits");
    free_all(f);
    recorder_clear(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_goes_on_where_it_was, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(both_ways_and_weights_go_on, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(experts_go_on, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(torn_ones_are_not_used, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(earlier_and_later_ones, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(messages_that_do_not_fit, folder_make, folder_remove),
    };

    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("forward_state", tests, NULL, NULL);
}
