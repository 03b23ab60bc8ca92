/* SPDX-License-Identifier: Apache-2.0 */
/* Groups in the order of activation (--desc-act): against plain GPTQ with desc_act and without
 * static groups (tests/golden/act-order, which gives the official solver's codes), and what a
 * solution may say of groups. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/mem.h"
#include "../../common/format/coded.h"
#include "../../common/format/packed.h"
#include "../../common/tensor/blas.h"
#include "../../common/tensor/safetensors.h"
#include "../../common/wire/msg_problem.h"
#include "../../common/wire/msg_solution.h"
#include "../../stages/solve/solve.h"

enum { N = 12, K = 64, GROUP = 16, G = K / GROUP };

static struct st_set *golden;

static int open_golden(void **state)
{
    struct err e = {0};

    (void)state;
    golden = st_open("tests/golden/act-order/golden.safetensors", &e);
    return golden ? blas_start(&e) : -1;
}

static int close_golden(void **state)
{
    (void)state;
    st_close(&golden);
    return 0;
}

static void *part(const char *name, struct tensor *t)
{
    struct err e = {0};

    assert_int_equal(st_load(golden, st_find(golden, name), t, &e), 0);
    return t->data;
}

static struct msg *problem(void)
{
    const uint64_t triangle[1] = {K * (K + 1) / 2}, shape[2] = {N, K};
    struct tensor H, W, head;
    struct problem_view v = {.block = 0,
                             .order = 0,
                             .sites = 1,
                             .site = "mlp.up",
                             .K = K,
                             .tokens = 200,
                             .sum_w = 1,
                             .sum_w2 = 1,
                             .nlinears = 1};
    struct err e = {0};
    const double *h = part("H", &H);
    struct msg *m;
    double *s;

    part("W", &W);
    assert_int_equal(tensor_borrow(&head, "up", DT_F32, 2, shape, W.data, &e), 0);
    v.linear[0] = &head;
    assert_non_null(m = problem_create(&v, "test", &e));
    assert_non_null(s = msg_add_new(m, "S", DT_F64, 1, triangle, &e));
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j <= i; j++)
            *s++ = h[i * K + j];
    memcpy(msg_add_new(m, "up", DT_F32, 2, shape, &e), W.data, W.bytes);
    tensor_release(&H);
    tensor_release(&W);
    return m;
}

static struct solve_opts opts(void)
{
    struct solve_opts o = solve_opts_default();

    o.bits = 3;
    o.group = GROUP;
    o.groups = GROUPS_DYNAMIC;
    o.dead = DEAD_ZERO;
    o.scale_type = DT_F64;
    o.desc_act = 1;
    return o;
}

static struct msg *solve(const struct solve_opts *o, size_t threads, struct err *e)
{
    struct par *p = par_open(threads, e);
    struct msg *m = problem();
    struct solve_note note;
    struct msg *out = solve_problem(o, &m, p, &note, e);

    par_close(&p);
    return out;
}

static void refused(const struct solve_opts *o, const char *words)
{
    struct err e = {0};

    assert_null(solve(o, 1, &e));
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, words))
        fail_msg("'%s' does not say '%s'", e.text, words);
}

static void refuses(void **state)
{
    struct solve_opts o = opts();

    (void)state;
    o.order = ORDER_NONE;
    refused(&o, "--desc-act yes goes with --order act");
    o = opts();
    o.solver = "rtn";
    refused(&o, "--desc-act yes means nothing to solver rtn");
}

static void as_official(void **state)
{
    (void)state;
    for (size_t threads = 1; threads < 4; threads += 2) {
        const struct solve_opts o = opts();
        struct err e = {0};
        struct msg *m = solve(&o, threads, &e);
        struct solution_view v;
        const struct solution_linear *x = &v.linear[0];
        struct tensor codes, scales, groups, W;
        struct coded c;
        const double *s;
        const int32_t *g;
        float w[N * K];

        if (!m || solution_read(m, &v, &e))
            fail_msg("%s", e.text);
        part("codes", &codes);
        s = part("scales", &scales);
        g = part("g_idx", &groups);
        part("W", &W);
        assert_int_equal(x->G, G);
        assert_memory_equal(x->codes->data, codes.data, codes.bytes);
        assert_memory_equal(x->g_idx->data, groups.data, groups.bytes);
        for (size_t i = 0; i < N * G; i++)
            assert_true(fabs(((const double *)x->scales->data)[i] - s[i]) <= 1e-12 * s[i]);
        assert_int_equal(coded_read(x, &c, &e), 0);
        assert_int_equal(coded_decode(&c, 2, N - 2, w, &e), 0);
        for (size_t n = 2; n < N; n++)
            for (size_t k = 0; k < K; k++) {
                const double at = s[n * G + (size_t)g[k]];
                const int code = ((const uint8_t *)codes.data)[n * K + k];

                assert_true(fabs((double)w[(n - 2) * K + k] - at * (code - 4)) < 1e-6);
            }
        tensor_release(&codes);
        tensor_release(&scales);
        tensor_release(&groups);
        tensor_release(&W);
        msg_destroy(&m);
    }
}

/* One group has no order: nothing beside the codes. */
static void whole_rows(void **state)
{
    struct solve_opts o = opts();
    struct err e = {0};
    struct msg *m, *plain;
    struct solution_view v, w;

    (void)state;
    o.group = -1;
    m = solve(&o, 1, &e);
    o.desc_act = 0;
    plain = solve(&o, 1, &e);
    assert_int_equal(solution_read(m, &v, &e), 0);
    assert_int_equal(solution_read(plain, &w, &e), 0);
    assert_null(v.linear[0].g_idx);
    assert_memory_equal(v.linear[0].codes->data, w.linear[0].codes->data, N * K);
    msg_destroy(&m);
    msg_destroy(&plain);
}

/* What comes over the wire is not believed. */
static void groups_that_are_none(void **state)
{
    static const int32_t bad[] = {-1, G, 0, INT32_MAX};
    const struct solve_opts o = opts();

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        struct msg *m = solve(&o, 1, &e);
        struct solution_view v;
        int32_t *g;

        assert_int_equal(solution_read(m, &v, &e), 0);
        g = v.linear[0].g_idx->data;
        for (size_t k = 0; k < K; k++)
            if (g[k] != bad[i]) {
                g[k] = bad[i];
                break;
            }
        assert_int_equal(solution_read(m, &v, &e), -1);
        assert_non_null(strstr(e.text, "'up.g_idx' has groups of other than 16 inputs"));
        msg_destroy(&m);
    }
}

/* Formats that hold it, and those that do not. */
static void formats(void **state)
{
    static const char *const holds[] = {"gptq", "gptq-v2", "dense"};
    static const char *const lacks[] = {"awq", "gguf", "compressed-tensors"};
    struct format_linear l = {.name = "up",
                              .N = 64,
                              .K = 64,
                              .bits = 4,
                              .group = 32,
                              .G = 2,
                              .grid = grid_find("sym"),
                              .scale_type = DT_F16,
                              .permuted = 1};
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(format_find(holds[i])->check(&l, &e), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(format_find(lacks[i])->check(&l, &e), -1);
        assert_non_null(strstr(e.text, lacks[i]));
        assert_non_null(strstr(e.text, "--desc-act yes"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),    cmocka_unit_test(as_official),
        cmocka_unit_test(whole_rows), cmocka_unit_test(groups_that_are_none),
        cmocka_unit_test(formats),
    };

    return cmocka_run_group_tests(tests, open_golden, close_golden);
}
