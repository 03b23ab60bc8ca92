/* SPDX-License-Identifier: Apache-2.0 */
/* forward: the rows it emits against goldens of the reference (tests/golden/conformance), in
 * memory and spilled; rows behind commits are those of a checkpoint that holds the committed
 * weights, bit for bit; bad chunks and commits are refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "forward_run.h"

/* Largest difference between the rows of (block 2, site, chunk) and golden tensor
 * in.CHUNK.model.layers.2.MODULE. */
static float worst(const struct recorder *r, const char *site, uint64_t chunk, const char *module)
{
    struct err e = {0};
    struct st_set *g = st_open(DIR "/golden.safetensors", &e);
    struct tensor t;
    char name[128];
    float most = -1;

    snprintf(name, sizeof name, "in.%d.model.layers.2.%s", (int)chunk, module);
    assert_non_null(st_find(g, name));
    assert_int_equal(st_load(g, st_find(g, name), &t, &e), 0);
    for (size_t i = 0; i < r->n; i++) {
        struct acts_view v;
        if (r->m[i]->kind != MSG_ACTS)
            continue;
        assert_int_equal(acts_read(r->m[i], &v, &e), 0);
        if (v.block != 2 || v.chunk != chunk || strcmp(v.site, site) != 0)
            continue;
        assert_int_equal(v.x->bytes, t.bytes);
        most = 0;
        for (size_t k = 0; k < v.T * v.K; k++)
            most = fmaxf(most, fabsf(((float *)v.x->data)[k] - ((float *)t.data)[k]));
    }
    tensor_release(&t);
    st_close(&g);
    assert_true(most >= 0);
    return most;
}

static void assert_golden(const struct recorder *r)
{
    for (uint64_t c = 0; c < 2; c++) {
        assert_true(worst(r, "attn.qkv", c, "self_attn.q_proj") < GATE);
        assert_true(worst(r, "attn.o", c, "self_attn.o_proj") < GATE);
        assert_true(worst(r, "mlp.up", c, "mlp.gate_proj") < GATE);
        assert_true(worst(r, "mlp.down", c, "mlp.down_proj") < GATE);
    }
}

static void rows_are_the_references(void **state)
{
    struct forward_opts o = {
        .acts = DT_F32, .order = FORWARD_FULL, .mem = 1 << 30, .mem_rows = 1 << 30, .tmp = "/tmp"};
    struct err e = {0};
    struct recorder r = {0};

    (void)state;
    if (run(DIR, &o, &r, NULL, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(r.n, 4 * 4 * 3); /* blocks x sites x (two chunks and the weights) */
    assert_int_equal(r.m[0]->kind, MSG_WEIGHTS);
    assert_golden(&r);
    recorder_clear(&r);
}

static void a_spill_file_changes_no_byte(void **state)
{
    struct forward_opts o = {
        .acts = DT_BF16, .order = FORWARD_FULL, .mem = 1 << 30, .mem_rows = 1 << 30, .tmp = "/tmp"};
    struct err e = {0};
    struct recorder a = {0}, b = {0};

    (void)state;
    assert_int_equal(run(DIR, &o, &a, NULL, &e), 0);
    o.mem = 0;
    assert_int_equal(run(DIR, &o, &b, NULL, &e), 0);
    assert_int_equal(a.n, b.n);
    for (size_t i = 0; i < a.n; i++)
        assert_int_equal(msg_checksum(a.m[i]), msg_checksum(b.m[i]));
    recorder_clear(&a);
    recorder_clear(&b);
}

/* The model in dir/, with the committed weights in the place of its own. */
static void write_committed(const struct recorder *r, const char *dir)
{
    struct err e = {0};
    char path[128];
    struct st_set *from = st_open(DIR "/model.safetensors", &e);
    struct st_writer *w;

    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_int_equal(fs_copy(DIR "/config.json", path, &e), 0);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    w = st_create(path, &e);
    assert_non_null(from);
    assert_non_null(w);
    for (int put = 0; put < 2; put++) {
        for (size_t i = 0; i < from->count; i++) {
            const struct st_entry *x = &from->entries[i];
            const struct tensor *c = NULL;
            for (size_t k = 0; k < r->ncommitted; k++)
                if (strcmp(r->committed[k].name, x->name) == 0)
                    c = &r->committed[k];
            if (!put)
                assert_int_equal(
                    st_declare(w, x->name, c ? DT_F32 : x->dtype, x->ndim, x->shape, &e), 0);
            else
                assert_int_equal(c ? st_put(w, x->name, c->data, c->bytes, &e)
                                   : st_copy(w, x->name, from, x, &e),
                                 0);
        }
        if (!put)
            assert_int_equal(st_begin(w, &e), 0);
    }
    assert_int_equal(st_publish(&w, &e), 0);
    st_close(&from);
}

static void commits_are_what_the_next_site_sees(void **state)
{
    struct forward_opts o = {
        .acts = DT_F32, .order = FORWARD_SITE, .mem = 1 << 30, .mem_rows = 1 << 30, .tmp = "/tmp"};
    char dir[] = "/tmp/ptqflow-test-XXXXXX";
    struct err e = {0};
    struct recorder a = {0}, b = {0};

    (void)state;
    assert_non_null(mkdtemp(dir));
    if (run(DIR, &o, &a, commit_8bit, &e) < 0)
        fail_msg("%s", e.text);
    assert_true(worst(&a, "mlp.down", 0, "mlp.down_proj") > GATE); /* the weights are others */
    assert_int_equal(a.asked, 15); /* of 16 sites: nothing is computed behind the last */
    write_committed(&a, dir);
    o.order = FORWARD_FULL;
    if (run(dir, &o, &b, NULL, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(a.n, b.n);
    for (size_t i = 0; i < a.n; i++)
        if (a.m[i]->kind == MSG_ACTS)
            assert_int_equal(msg_checksum(a.m[i]), msg_checksum(b.m[i]));
    assert_int_equal(fs_remove_tree(dir, &e), 0);
    recorder_clear(&a);
    recorder_clear(&b);
}

/* Behind sites that an earlier run has committed the messages are those of a whole run. */
static void committed_sites_are_not_emitted(void **state)
{
    struct forward_opts o = {
        .acts = DT_F32, .order = FORWARD_SITE, .mem = 1 << 30, .mem_rows = 1 << 30, .tmp = "/tmp"};
    struct err e = {0};
    struct recorder a = {0}, b = {.first = &a};

    (void)state;
    if (run(DIR, &o, &a, commit_8bit, &e) < 0)
        fail_msg("%s", e.text);
    o.from_site = 6;
    if (run(DIR, &o, &b, commit_8bit, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(b.asked, 15);
    assert_int_equal(b.n, a.n - 6 * 3);
    for (size_t i = 0; i < b.n; i++) {
        assert_string_equal(b.m[i]->id, a.m[i + 18]->id);
        assert_int_equal(msg_checksum(b.m[i]), msg_checksum(a.m[i + 18]));
    }
    recorder_clear(&b);
    b = (struct recorder){.first = &a, .other_run = 1};
    assert_int_equal(run(DIR, &o, &b, commit_8bit, &e), -1);
    assert_non_null(strstr(e.text, "the run to go on with is another"));
    recorder_clear(&b);
    b = (struct recorder){0};
    o.from_site = 16; /* all of them */
    assert_int_equal(run(DIR, &o, &b, commit_8bit, &e), 0);
    assert_int_equal(b.n + b.asked, 0);
    o.from_site = 17;
    assert_int_equal(run(DIR, &o, &b, commit_8bit, &e), -1);
    assert_non_null(strstr(e.text, "--from-site 17: the model has 16 sites"));
    recorder_clear(&a);
}

/* The second way is the unquantized model, whatever is committed. */
static void dual_rows_are_those_of_the_full_model(void **state)
{
    struct forward_opts o = {.acts = DT_BF16,
                             .order = FORWARD_SITE,
                             .dual = 1,
                             .mem = 1 << 30,
                             .mem_rows = 1 << 30,
                             .tmp = "/tmp"};
    struct err e = {0};
    struct recorder a = {0}, b = {0};
    size_t others = 0;

    (void)state;
    if (run(DIR, &o, &a, commit_8bit, &e) < 0)
        fail_msg("%s", e.text);
    o.order = FORWARD_FULL;
    o.dual = 0;
    assert_int_equal(run(DIR, &o, &b, NULL, &e), 0);
    assert_int_equal(a.n, b.n);
    for (size_t i = 0; i < a.n; i++) {
        const struct tensor *x = msg_tensor(a.m[i], "x"), *xf = msg_tensor(a.m[i], "xf");
        if (a.m[i]->kind != MSG_ACTS)
            continue;
        assert_non_null(xf);
        assert_memory_equal(xf->data, msg_tensor(b.m[i], "x")->data, xf->bytes);
        others += memcmp(x->data, xf->data, x->bytes) != 0;
    }
    assert_int_equal(others, 2 * 15); /* all but the first site of the first block */
    recorder_clear(&a);
    recorder_clear(&b);
}

static void a_spill_file_changes_no_byte_of_two_ways(void **state)
{
    struct forward_opts o = {.acts = DT_BF16,
                             .order = FORWARD_SITE,
                             .dual = 1,
                             .mem = 1 << 30,
                             .mem_rows = 1 << 30,
                             .tmp = "/tmp"};
    struct err e = {0};
    struct recorder a = {0}, b = {0};

    (void)state;
    assert_int_equal(run(DIR, &o, &a, commit_8bit, &e), 0);
    o.mem = 0;
    assert_int_equal(run(DIR, &o, &b, commit_8bit, &e), 0);
    assert_int_equal(a.n, b.n);
    for (size_t i = 0; i < a.n; i++)
        assert_int_equal(msg_checksum(a.m[i]), msg_checksum(b.m[i]));
    recorder_clear(&a);
    recorder_clear(&b);
}

/* The rows stay as they are; each block has weights of its own, the same for its four sites,
 * mean 1 in each sequence. */
static void attention_weighs_rows(void **state)
{
    struct forward_opts o = {.acts = DT_BF16,
                             .order = FORWARD_SITE,
                             .attention_weights = 1,
                             .weight_min = 0.005,
                             .mem = 0,
                             .tmp = "/tmp"};
    struct err e = {0};
    struct recorder a = {0}, b = {0};
    const struct tensor *first[2] = {NULL, NULL};
    size_t other = 0;

    (void)state;
    if (run(DIR, &o, &a, commit_8bit, &e) < 0)
        fail_msg("%s", e.text);
    o.attention_weights = 0;
    o.mem = 1 << 30;
    assert_int_equal(run(DIR, &o, &b, commit_8bit, &e), 0);
    assert_int_equal(a.n, b.n);
    for (size_t i = 0; i < a.n; i++) {
        struct acts_view v;
        double sum = 0;
        const struct tensor *w = msg_tensor(a.m[i], "w");
        if (a.m[i]->kind != MSG_ACTS)
            continue;
        assert_int_equal(acts_read(a.m[i], &v, &e), 0);
        assert_memory_equal(v.x->data, msg_tensor(b.m[i], "x")->data, v.x->bytes);
        assert_null(msg_tensor(b.m[i], "w"));
        assert_non_null(w);
        for (size_t t = 0; t < v.T; t++)
            sum += (double)v.w[t];
        assert_true(fabs(sum / (double)v.T - 1) < 1e-6);
        if (strcmp(v.site, "attn.qkv") == 0) {
            other += first[v.chunk] && memcmp(first[v.chunk]->data, w->data, w->bytes) != 0;
            first[v.chunk] = w;
        }
        assert_memory_equal(first[v.chunk]->data, w->data, w->bytes);
    }
    assert_int_equal(other, 2 * 3);
    recorder_clear(&a);
    recorder_clear(&b);
}

static void a_commit_of_another_site_is_refused(void **state)
{
    struct forward_opts o = {
        .acts = DT_F32, .order = FORWARD_SITE, .mem = 1 << 30, .mem_rows = 1 << 30, .tmp = "/tmp"};
    struct err e = {0};
    struct recorder r = {.wrong_commit = 1};

    (void)state;
    assert_int_equal(run(DIR, &o, &r, commit_8bit, &e), -1);
    assert_non_null(strstr(e.text, "expected 0"));
    recorder_clear(&r);
}

static void bad_chunks_are_refused(void **state)
{
    struct forward_opts o = {
        .acts = DT_F32, .order = FORWARD_FULL, .mem = 1 << 30, .mem_rows = 1 << 30, .tmp = "/tmp"};
    int32_t ids[4] = {1, 2, 3, 4}, length = 4;
    struct chunk_view v = {.chunk = 0,
                           .chunks = 1,
                           .lane = 0,
                           .lanes = 1,
                           .vocab = 321,
                           .T = 4,
                           .nseq = 1,
                           .ids = ids,
                           .lengths = &length};
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct model *m = model_open(DIR, par, &e);
    struct forward *f = forward_open(m, &o, &e);
    struct forward_io io = {.emit = record};
    struct msg *c = chunk_write(&v, "test", &e);

    (void)state;
    assert_non_null(c);
    assert_int_equal(forward_run(f, &io, &e), -1); /* no chunks */
    assert_int_equal(forward_add(f, &c, &e), -1);
    assert_non_null(strstr(e.text, "vocabulary"));
    msg_destroy(&c);
    c = msg_create(MSG_ACTS, "test", &e);
    assert_int_equal(forward_add(f, &c, &e), -1);
    msg_destroy(&c);
    forward_close(&f);
    forward_close(NULL);
    model_close(&m);
    par_close(&par);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_chunks_are_refused),
        cmocka_unit_test(rows_are_the_references),
        cmocka_unit_test(a_spill_file_changes_no_byte),
        cmocka_unit_test(a_spill_file_changes_no_byte_of_two_ways),
        cmocka_unit_test(commits_are_what_the_next_site_sees),
        cmocka_unit_test(a_commit_of_another_site_is_refused),
        cmocka_unit_test(attention_weighs_rows),
        cmocka_unit_test(committed_sites_are_not_emitted),
        cmocka_unit_test(dual_rows_are_those_of_the_full_model),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
