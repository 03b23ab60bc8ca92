/* SPDX-License-Identifier: Apache-2.0 */
/* reduce of an expert's site: sums of the rows that its router sends, of all tokens where these are
 * too few, or asked for; what is said of it; what does not go together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../common/wire/msg_problem.h"
#include "../../stages/reduce/reduce.h"
#include "reduce_acts.h"

static struct msg *kept;
static int keep(void *ctx, struct msg **m, struct err *e)
{
    (void)ctx;
    (void)e;
    assert_null(kept);
    kept = *m;
    *m = NULL;
    return 0;
}

/* Row t of a chunk goes to the expert when t % every == 0 (0: no row does). all: the rest comes
 * too. */
static struct msg *rows_of(uint64_t chunk, size_t every, int all, const struct msg_expert *expert)
{
    static const int32_t lengths[2] = {20, 30}, one = 1;
    struct err e = {0};
    struct msg *whole = acts_of(chunk, DT_F32, NULL), *m;
    const float *x = msg_tensor(whole, "x")->data;
    uint8_t routed[NT] = {0};
    float w[NT] = {0};
    int32_t some[2] = {0, 0};
    struct acts_view v;
    size_t n = 0;
    void *to;

    assert_int_equal(acts_read(whole, &v, &e), 0);
    for (size_t t = 0; t < NT; t++) {
        routed[t] = every && t % every == 0;
        some[t >= 20] += routed[t];
    }
    v.lengths = all ? lengths : some[0] ? some : some + 1;
    v.nseq = all ? 2 : (size_t)(some[0] > 0) + (some[1] > 0);
    v.T = all ? NT : (size_t)(some[0] + some[1]);
    if (v.T == 0) { /* one row that counts nothing */
        v.T = v.nseq = 1;
        v.lengths = &one;
        v.w = w;
    }
    v.routed = all ? routed : NULL;
    v.expert = *expert;
    assert_non_null(m = acts_write(&v, DT_F32, &to, NULL, "test", &e));
    memset(to, 0, v.T * NK * sizeof *x);
    for (size_t t = 0; t < NT; t++)
        if (all || routed[t])
            memcpy((float *)to + n++ * NK, x + t * NK, NK * sizeof *x);
    msg_destroy(&whole);
    return m;
}

static struct reduce *start(const struct kept_how *how, int partial, struct par **par)
{
    const struct reduce_opts o = {.how = *how, .partial = partial, .mem = 1 << 20, .tmp = "/tmp"};
    struct err e = {0};

    *par = par_open(2, &e);
    return reduce_open(&o, *par, keep, NULL, &e);
}

/* The problem of seven chunks, which lies in kept afterwards. */
static void reduce_all(const struct kept_how *how, size_t every, int all,
                       const struct msg_expert *expert, struct problem_view *v)
{
    struct err e = {0};
    struct par *par;
    struct reduce *r = start(how, 0, &par);
    struct msg *m;

    for (uint64_t c = 0; c < CHUNKS; c++) {
        m = rows_of(c, every, all, expert);
        if (reduce_push(r, &m, &e) < 0)
            fail_msg("%s", e.text);
    }
    m = weights_of();
    if (reduce_push(r, &m, &e) < 0 || reduce_finish(r, &e) < 0 || problem_read(kept, v, &e) < 0)
        fail_msg("%s", e.text);
    reduce_close(&r);
    par_close(&par);
}

static void same_sums(struct problem_view *a, struct msg **of, struct problem_view *b)
{
    assert_int_equal(a->tokens, b->tokens);
    assert_true(a->sum_w == b->sum_w && a->sum_w2 == b->sum_w2);
    assert_memory_equal(a->S->data, b->S->data, a->S->bytes);
    if (a->plain.S)
        assert_memory_equal(a->plain.S->data, b->plain.S->data, a->plain.S->bytes);
    msg_destroy(of);
    msg_destroy(&kept);
}

static struct msg *hold(void)
{
    struct msg *m = kept;

    kept = NULL;
    return m;
}

#define ROUTED(how_, below_)                             \
    (struct msg_expert)                                  \
    {                                                    \
        .known = 1, .starved = (how_), .below = (below_) \
    }

static void fed_experts_have_their_own_rows(void **state)
{
    const struct kept_how how = {.plain = 1, .length_diagonals = 1};
    const struct msg_expert rtn = ROUTED(STARVED_RTN, 10), every = ROUTED(STARVED_ALL_TOKENS, 10);
    struct problem_view own, v;
    struct msg *first;

    (void)state;
    reduce_all(&how, 7, 0, &rtn, &own); /* 8 rows a chunk */
    assert_true(own.has_routed && own.routed == 8 * CHUNKS && own.tokens == own.routed);
    assert_null(own.starved);
    first = hold();
    reduce_all(&how, 7, 1, &every, &v);
    assert_true(v.has_routed && v.routed == 8 * CHUNKS && !v.starved);
    same_sums(&own, &first, &v);
}

static void starved_experts_have_all_tokens(void **state)
{
    const struct kept_how how = {.plain = 1, .length_diagonals = 1};
    const struct msg_expert none = {0}, every = ROUTED(STARVED_ALL_TOKENS, 60);
    struct problem_view all, v;
    struct msg *first;

    (void)state;
    reduce_all(&how, 1, 0, &none, &all); /* as of a site that is no expert's */
    assert_true(!all.has_routed && !all.starved);
    first = hold();
    reduce_all(&how, 7, 1, &every, &v);
    assert_true(v.has_routed && v.routed == 8 * CHUNKS);
    assert_string_equal(v.starved, "all-tokens");
    assert_int_equal(json_count(v.lengths), 2);
    same_sums(&all, &first, &v);
    reduce_all(&how, 1, 0, &none, &all);
    first = hold();
    reduce_all(&how, 0, 1, &every, &v);
    assert_true(v.has_routed && v.routed == 0);
    assert_string_equal(v.starved, "all-tokens");
    same_sums(&all, &first, &v);
}

static void one_chunk_can_feed_an_expert(void **state)
{
    const struct kept_how how = {0};
    const struct msg_expert every = ROUTED(STARVED_ALL_TOKENS, 40);
    struct err e = {0};
    struct problem_view v;
    struct par *par;
    struct reduce *r = start(&how, 0, &par);
    struct msg *m;

    (void)state;
    for (uint64_t c = 0; c < CHUNKS; c++) { /* all 50 of chunk 3, none of the others */
        m = rows_of(c, c == 3, c != 3, &every);
        assert_int_equal(reduce_push(r, &m, &e), 0);
    }
    m = weights_of();
    assert_int_equal(reduce_push(r, &m, &e), 0);
    assert_int_equal(problem_read(kept, &v, &e), 0);
    assert_true(v.tokens == NT && v.routed == NT && !v.starved);
    msg_destroy(&kept);
    reduce_close(&r);
    par_close(&par);
}

static void too_few_rows_are_said(void **state)
{
    const struct kept_how how = {0};
    const struct msg_expert rtn = ROUTED(STARVED_RTN, 57), less = ROUTED(STARVED_RTN, 56);
    struct problem_view v;

    (void)state;
    reduce_all(&how, 7, 0, &rtn, &v);
    assert_true(v.routed == 56 && v.tokens == 56);
    assert_string_equal(v.starved, "rtn");
    msg_destroy(&kept);
    reduce_all(&how, 7, 0, &less, &v);
    assert_null(v.starved);
    msg_destroy(&kept);
    reduce_all(&how, 0, 0, &less, &v);
    assert_true(v.has_routed && v.routed == 0 && v.tokens == 0);
    assert_string_equal(v.starved, "rtn");
    msg_destroy(&kept);
}

static void all_may_be_asked_for(void **state)
{
    const struct kept_how how = {.holdout = 3};
    const struct msg_expert every = {.known = 1, .every = 1, .below = 1000};
    struct problem_view v;

    (void)state;
    reduce_all(&how, 7, 1, &every, &v);
    assert_true(v.tokens == 5 * NT && v.hold.tokens == 2 * NT && v.routed == 5 * 8 && !v.starved);
    msg_destroy(&kept);
}

static void refused(const struct kept_how *how, int partial, const struct msg_expert *first,
                    const struct msg_expert *then, const char *why)
{
    struct err e = {0};
    struct par *par;
    struct reduce *r = start(how, partial, &par);
    struct msg *m = rows_of(0, 7, 1, first);

    if (then) {
        assert_int_equal(reduce_push(r, &m, &e), 0);
        m = rows_of(1, 7, 1, then);
    }
    assert_int_equal(reduce_push(r, &m, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, why))
        fail_msg("'%s' does not say '%s'", e.text, why);
    reduce_close(&r);
    par_close(&par);
}

static void what_does_not_go_together(void **state)
{
    const struct kept_how plain = {0}, classes = {.classes = 4};
    const struct msg_expert every = ROUTED(STARVED_ALL_TOKENS, 60), rtn = ROUTED(STARVED_RTN, 60);

    (void)state;
    refused(&plain, 1, &every, NULL, "--partial");
    refused(&classes, 0, &every, NULL, "--classes");
    refused(&plain, 0, &every, &rtn, "--starved");
}

static void fields_are_checked(void **state)
{
    static const char *const bad[] = {
        "{\"sums\":\"some\",\"starved\":\"rtn\",\"below\":3}",
        "{\"sums\":\"all\",\"starved\":\"never\",\"below\":3}",
        "{\"sums\":\"all\",\"starved\":\"rtn\",\"below\":-1}",
        "{\"sums\":\"all\",\"starved\":\"rtn\",\"below\":\"3\"}",
        "{\"sums\":\"all\",\"starved\":\"rtn\"}",
        "[]",
    };
    const struct msg_expert rtn = ROUTED(STARVED_RTN, 3), none = {0};
    struct err e = {0};
    struct acts_view v;
    struct msg *m;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        m = rows_of(0, 7, 1, &rtn);
        assert_int_equal(json_set(m->meta, "expert", json_parse(bad[i], strlen(bad[i]), "x", &e)),
                         0);
        assert_int_equal(acts_read(m, &v, &e), -1);
        assert_non_null(strstr(e.text, "field 'expert'"));
        msg_destroy(&m);
    }
    m = rows_of(0, 7, 1, &none);
    assert_int_equal(acts_read(m, &v, &e), -1);
    assert_non_null(strstr(e.text, "'routed'"));
    msg_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fed_experts_have_their_own_rows),
        cmocka_unit_test(starved_experts_have_all_tokens),
        cmocka_unit_test(one_chunk_can_feed_an_expert),
        cmocka_unit_test(too_few_rows_are_said),
        cmocka_unit_test(all_may_be_asked_for),
        cmocka_unit_test(what_does_not_go_together),
        cmocka_unit_test(fields_are_checked),
    };

    return cmocka_run_group_tests_name("reduce_expert", tests, NULL, NULL);
}
