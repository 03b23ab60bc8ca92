/* SPDX-License-Identifier: Apache-2.0 */
/* reduce: sums of lanes from several reducers meet in the very problem of one; a share of the sites
 * is whole by itself, and so are the sites behind those that were
 * committed before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../common/wire/msg_problem.h"
#include "../../stages/reduce/reduce.h"
#include "reduce_acts.h"

/* for sums: tests run with none in memory but those in use, with few, with all */
static uint64_t mem;

/* Messages in the order in which they were emitted. */
struct list {
    struct msg *at[16];
    size_t count;
};

static int keep_all(void *ctx, struct msg **m, struct err *e)
{
    struct list *l = ctx;

    (void)e;
    assert_true(l->count < 16);
    l->at[l->count++] = *m;
    *m = NULL;
    return 0;
}

static const struct kept_how everything = {.holdout = 3,
                                           .plain = 1,
                                           .length_diagonals = 1,
                                           .classes =
                                               CLASS_LENGTH | CLASS_POSITION | CLASS_MODALITY};

static struct reduce *open_with(int partial, struct kept_how how, struct par *par, struct list *l)
{
    struct reduce_opts o = {.how = how, .partial = partial, .mem = mem, .tmp = "/tmp"};
    struct err e = {0};
    struct reduce *r = reduce_open(&o, par, keep_all, l, &e);

    assert_non_null(r);
    return r;
}

static void push(struct reduce *r, struct msg *m)
{
    struct err e = {0};

    if (reduce_push(r, &m, &e) < 0)
        fail_msg("%s", e.text);
}

/* What a reducer for the lanes [from, to) emits; the first also gets the weights. */
static void reduce_lanes(uint64_t from, uint64_t to, struct kept_how how, struct list *l)
{
    const float weight[2] = {0.25f, 2};
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct reduce *r = open_with(1, how, par, l);

    for (uint64_t c = to * CHUNKS / LANES; c-- > from * CHUNKS / LANES;) /* early ones first */
        push(r, dual_of(c, weight));
    if (from == 0)
        push(r, weights_of());
    assert_int_equal(reduce_finish(r, &e), 0);
    reduce_close(&r);
    par_close(&par);
}

static void assert_same_message(const struct msg *a, const struct msg *b)
{
    struct err e = {0};
    char *x = json_print(a->meta, 0, &e), *y = json_print(b->meta, 0, &e);

    assert_string_equal(x, y);
    assert_int_equal(a->ntensors, b->ntensors);
    for (size_t i = 0; i < a->ntensors; i++) {
        assert_string_equal(a->tensors[i].name, b->tensors[i].name);
        assert_memory_equal(a->tensors[i].data, b->tensors[i].data, a->tensors[i].bytes);
    }
    free(x);
    free(y);
}

/* One reducer that sees all rows, and a root that adds up the lanes of two others, in whatever
 * order they come and however often: the same problem. One lane may come as rows. */
static void partials_meet_in_the_same_problem(void **state)
{
    const float weight[2] = {0.25f, 2};
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct list want = {.count = 0}, parts = {.count = 0}, got = {.count = 0};
    struct reduce *r = open_with(0, everything, par, &want);
    struct problem_view v;

    (void)state;
    for (uint64_t c = 0; c < CHUNKS; c++)
        push(r, dual_of(c, weight));
    push(r, weights_of());
    reduce_close(&r);
    assert_int_equal(problem_read(want.at[0], &v, &e), 0);
    assert_int_equal(v.nclasses, 5);
    reduce_lanes(0, 2, everything, &parts);
    reduce_lanes(2, LANES, everything, &parts);
    assert_int_equal(parts.count, LANES + 1);
    for (int rows = 0; rows < 2; rows++) {
        r = open_with(0, everything, par, &got);
        for (size_t i = parts.count; i-- > 0;) /* the last lane first */
            if (!rows || strcmp(parts.at[i]->id, "b0.attn.qkv/l1") != 0) {
                push(r, msg_borrow(parts.at[i], &e));
                push(r, msg_borrow(parts.at[i], &e));
            }
        for (uint64_t c = 0; rows && c < CHUNKS; c++) /* those of summed lanes are repeats */
            push(r, dual_of(c, weight));
        assert_int_equal(reduce_finish(r, &e), 0);
        assert_int_equal(got.count, 1);
        assert_same_message(got.at[0], want.at[0]);
        msg_destroy(&got.at[0]);
        got.count = 0;
        reduce_close(&r);
    }
    for (size_t i = 0; i < parts.count; i++)
        msg_destroy(&parts.at[i]);
    msg_destroy(&want.at[0]);
    par_close(&par);
}

static void push_refused(struct reduce *r, struct msg *m, const char *words)
{
    struct err e = {0};

    assert_int_equal(reduce_push(r, &m, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, words))
        fail_msg("'%s' does not say '%s'", e.text, words);
}

static void partials_that_do_not_fit_are_refused(void **state)
{
    const float weight[2] = {0.25f, 2};
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct list parts = {.count = 0}, none = {.count = 0};
    struct reduce *r = open_with(1, everything, par, &none);
    struct msg *m;

    (void)state;
    reduce_lanes(0, 1, everything, &parts);
    reduce_lanes(1, 2, (struct kept_how){.plain = 1}, &parts);
    assert_int_equal(parts.count, 3); /* lane 0, the weights, lane 1 */
    push_refused(r, msg_borrow(parts.at[0], &e), "takes rows");
    push(r, dual_of(0, weight)); /* half a lane */
    assert_int_equal(reduce_finish(r, &e), -1);
    assert_int_equal(e.kind, ERR_DATA);
    reduce_close(&r);
    r = open_with(0, everything, par, &none);
    push(r, dual_of(0, weight));
    push_refused(r, msg_borrow(parts.at[0], &e), "rows of this lane came already");
    push_refused(r, msg_borrow(parts.at[2], &e), "need the same --holdout");
    reduce_close(&r);
    r = open_with(0, (struct kept_how){.plain = 0}, par, &none);
    push(r, msg_borrow(parts.at[2], &e));
    push_refused(r, msg_borrow(parts.at[0], &e), "need the same --holdout");
    push_refused(r, dual_of(0, weight), "need the same --holdout");
    m = msg_borrow(parts.at[2], &e);
    json_set(m->meta, "kinds", json_new_array());
    json_push((struct json *)(uintptr_t)json_get(m->meta, "kinds"), json_new_text("colour"));
    push_refused(r, m, "no kind of class");
    reduce_close(&r);
    for (size_t i = 0; i < parts.count; i++)
        msg_destroy(&parts.at[i]);
    par_close(&par);
}

static void fields_are_checked(void **state)
{
    static const struct {
        const char *field, *json, *words;
    } bad[] = {
        {"lane", "3", "'lane'"},
        {"lane", "\"1\"", "'lane'"},
        {"lanes", "0", "'lanes'"},
        {"lanes", "8", "'lanes'"},
        {"chunks", "0", "'chunks'"},
        {"holdout", "-1", "'holdout'"},
        {"plain_sums", "1", "plain_sums"},
        {"diagonals", "null", "diagonals"},
        {"kinds", "\"length\"", "'kinds'"},
        {"tokens", "0", "'sum_w'"},
        {"K", "36", "'S'"},
        {"lengths", "[]", "'lengths'"},
        {"classes", "[{}]", "'classes'"},
        {"sum_w2", "-1", "sum_w2"},
        {"sum_w2", "1e300", "sum_w2"},
        {"sum_w", "1e308", "sum_w"},
        {"block", "1", "'id'"},
        {"site", "\"\"", "'site'"},
        {"order", "1", "'order'"},
    };
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct list parts = {.count = 0}, none = {.count = 0};
    struct reduce *r = open_with(0, everything, par, &none);

    (void)state;
    reduce_lanes(1, 2, everything, &parts);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct msg *m = msg_borrow(parts.at[0], &e);

        json_set(m->meta, bad[i].field, json_parse(bad[i].json, strlen(bad[i].json), "", &e));
        push_refused(r, m, bad[i].words);
    }
    push(r, msg_borrow(parts.at[0], &e));
    reduce_close(&r);
    msg_destroy(&parts.at[0]);
    par_close(&par);
}

/* One of several reducers: sites that do not come are another's, what comes must be whole. */
static void a_share_is_whole_without_the_other_sites(void **state)
{
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct list l = {.count = 0};
    struct reduce_opts o = {.share = 1, .mem = mem, .tmp = "/tmp"};
    struct reduce *r = reduce_open(&o, par, keep_all, &l, &e);
    struct msg *m;

    (void)state;
    for (uint64_t c = 0; c < CHUNKS; c++) {
        assert_int_equal(reduce_finish(r, &e), -1);
        m = acts_of(c, DT_F32, NULL);
        json_set_int(m->meta, "sites", 9);
        push(r, m);
    }
    assert_int_equal(reduce_finish(r, &e), -1); /* no weights */
    m = weights_of();
    json_set_int(m->meta, "sites", 9);
    push(r, m);
    assert_int_equal(reduce_finish(r, &e), 0);
    assert_int_equal(l.count, 1);
    msg_destroy(&l.at[0]);
    reduce_close(&r);
    par_close(&par);
}

/* No rows come of sites that were committed before; what comes all the same counts nothing. */
static void sites_that_are_committed_are_done(void **state)
{
    struct reduce_opts o = {.from_site = 1, .mem = mem, .tmp = "/tmp"};
    struct list l = {.count = 0};
    struct err e = {0};
    struct par *par = par_open(1, &e);
    struct reduce *r = reduce_open(&o, par, keep_all, &l, &e);
    uint64_t done, sites;
    struct msg *m = acts_of(0, DT_F32, NULL);

    (void)state;
    assert_int_equal(reduce_finish(r, &e), 0); /* all were: the writer knows better if not */
    if (json_set_int(m->meta, "sites", 2) != 0 || reduce_push(r, &m, &e) < 0)
        fail_msg("%s", e.text);
    reduce_progress(r, &done, &sites);
    assert_int_equal(done, 1);
    assert_int_equal(sites, 2);
    assert_int_equal(reduce_finish(r, &e), -1);
    assert_non_null(strstr(e.text, "site 2 of 2 is not complete"));
    reduce_close(&r);
    o.from_site = 3;
    r = reduce_open(&o, par, keep_all, &l, &e);
    m = acts_of(0, DT_F32, NULL);
    assert_int_equal(json_set_int(m->meta, "sites", 2), 0);
    assert_int_equal(reduce_push(r, &m, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "--from-site 3, but there are 2 sites"));
    reduce_close(&r);
    par_close(&par);
}

static int set_mem(void **state)
{
    mem = *(const uint64_t *)*state;
    return 0;
}

int main(void)
{
    static uint64_t budget[3] = {0, 3 * NK * NK * 8, UINT64_MAX};
    struct CMUnitTest tests[15];
    static const struct CMUnitTest each[5] = {
        cmocka_unit_test(partials_meet_in_the_same_problem),
        cmocka_unit_test(partials_that_do_not_fit_are_refused),
        cmocka_unit_test(a_share_is_whole_without_the_other_sites),
        cmocka_unit_test(fields_are_checked),
        cmocka_unit_test(sites_that_are_committed_are_done),
    };

    for (size_t i = 0; i < 15; i++) {
        tests[i] = each[i / 3];
        tests[i].setup_func = set_mem;
        tests[i].initial_state = &budget[i % 3];
    }
    return cmocka_run_group_tests_name("reduce_partial", tests, NULL, NULL);
}
