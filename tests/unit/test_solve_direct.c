/* SPDX-License-Identifier: Apache-2.0 */
/* The sweep by a factor of H itself: the codes of the sweep by that of its inverse, and the loss
 * that it tells, against plain sums; what the weights themselves weigh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/base/rng.h"
#include "../../common/tensor/blas.h"
#include "../../stages/solve/solve_energy.h"
#include "../../stages/solve/solve_factor.h"
#include "../../stages/solve/solve_grid.h"
#include "../../stages/solve/solve_loss.h"
#include "../../stages/solve/solve_opts.h"
#include "../../stages/solve/solve_refine.h"
#include "uneven_site.h"

enum { N = 130, K = 192, T = 500, GROUP = 64 };

static float W[N * K];
static double H[K * K];

static int make_site(void **state)
{
    double *x = malloc(T * K * sizeof *x);

    (void)state;
    if (!x)
        return -1;
    uneven_site(3, N, K, T, W, x);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < K; j++) {
            H[i * K + j] = 0;
            for (size_t t = 0; t < T; t++)
                H[i * K + j] += x[t * K + i] * x[t * K + j] / T;
        }
    free(x);
    return 0;
}

/* A linear on its way. */
struct linear {
    struct solve_job j;
    uint8_t codes[N * K], zeros[N * K / GROUP];
    double scales[N * K / GROUP];
};

static struct solve_opts options(enum order order)
{
    struct solve_opts o = solve_opts_default();

    o.order = order;
    return o;
}

static struct linear *linear_new(const double *h)
{
    struct linear *l = calloc(1, sizeof *l);

    assert_non_null(l);
    l->j = (struct solve_job){.name = "w",
                              .N = N,
                              .K = K,
                              .G = K / GROUP,
                              .w_type = DT_F32,
                              .W = W,
                              .H = h,
                              .codes = l->codes,
                              .scales = l->scales,
                              .zeros = l->zeros};
    return l;
}

static void run(const struct solve_opts *o, struct linear *l, size_t threads)
{
    const struct solver *s = solver_find("gptq");
    struct solve_stats st = {.fallback = NULL};
    struct err e = {0};
    struct par *p = par_open(threads, &e);
    void *factor = NULL;

    assert_non_null(p);
    assert_int_equal(s->prepare(o, K, l->j.H, NULL, p, &factor, &st, &e), 0);
    assert_int_equal(s->solve(o, factor, &l->j, p, &e), 0);
    assert_int_equal(solve_refine(o, &l->j, p, &e), 0);
    s->release(factor);
    par_close(&p);
}

/* By the factor of the inverse. */
static void run_inverse(const struct solve_opts *o, struct linear *l)
{
    struct solve_stats st = {.fallback = NULL};
    struct err e = {0};
    struct par *p = par_open(1, &e);
    void *factor = NULL;

    assert_int_equal(factor_prepare(o, K, l->j.H, NULL, p, &factor, &st, &e), 0);
    assert_int_equal(factor_solve(o, factor, &l->j, p, &e), 0);
    factor_release(factor);
    par_close(&p);
}

static void test_codes_of_the_inverse(void **state)
{
    static const enum order orders[] = {ORDER_NONE, ORDER_ACT, ORDER_GROUP, ORDER_PIVOT};
    /* both have U_jj to K eps times the condition of the damped H, at most K / damp */
    const double off = 2.0 * K * DBL_EPSILON * (K / 0.01);

    (void)state;
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        const struct solve_opts o = options(orders[i]);
        struct linear *a = linear_new(H), *b = linear_new(H);

        run_inverse(&o, a);
        assert_int_equal(a->j.told, 0);
        for (size_t threads = 1; threads <= 3; threads += 2) {
            run(&o, b, threads);
            assert_memory_equal(a->codes, b->codes, sizeof a->codes);
            assert_memory_equal(a->scales, b->scales, sizeof a->scales);
            assert_true(fabs(a->j.bound - b->j.bound) <= off * a->j.bound);
        }
        free(a);
        free(b);
    }
}

/* W - Q of a row. */
static void error_of(const struct solve_opts *o, const struct linear *l, size_t n, double *d)
{
    for (size_t g = 0; g < l->j.G; g++)
        solve_grid_values(o, &l->j, n, g, l->scales[n * l->j.G + g], d + g * GROUP);
    for (size_t k = 0; k < K; k++)
        d[k] = (double)W[n * K + k] - d[k];
}

/* tr((W-Q)H(W-Q)') by plain sums, |W-Q|^2, and what no rounding of the factor or of the sums can
 * make of the first, over eps: R R' differs from the damped H by K eps sqrt(H_ii H_jj) at most,
 * what is subtracted has no more than that. */
static double plain_loss(const struct solve_opts *o, const struct linear *l, double damp,
                         double *square, double *most)
{
    double d[K], sum = 0, mean = 0;

    *square = *most = 0;
    for (size_t k = 0; k < K; k++)
        mean += l->j.H[k * K + k] / K;
    for (size_t n = 0; n < N; n++) {
        double weight = 0;

        error_of(o, l, n, d);
        for (size_t i = 0; i < K; i++) {
            for (size_t k = 0; k < K; k++)
                sum += d[i] * l->j.H[i * K + k] * d[k];
            weight += fabs(d[i]) * sqrt(l->j.H[i * K + i] + damp * mean);
            *square += d[i] * d[i];
        }
        *most += 8.0 * K * weight * weight;
    }
    return sum;
}

static void check_told(const struct solve_opts *o, struct linear *l)
{
    struct err e = {0};
    struct par *p = par_open(2, &e);
    struct solve_loss by_sweep, by_sums;
    double square, most;
    const double plain = plain_loss(o, l, o->damp, &square, &most);

    assert_int_equal(l->j.told, 1);
    assert_true(most * DBL_EPSILON < 1e-6 * plain);
    assert_true(fabs(l->j.loss - plain) <= DBL_EPSILON * most);
    assert_true(fabs(l->j.square - square) <= DBL_EPSILON * 8.0 * N * K * square);
    assert_int_equal(solve_loss(o, &l->j, p, &by_sweep, &e), 0);
    l->j.told = 0;
    assert_int_equal(solve_loss(o, &l->j, p, &by_sums, &e), 0);
    assert_true(by_sweep.loss == l->j.loss);
    assert_true(fabs(by_sums.loss - plain) <= DBL_EPSILON * most);
    /* (solve_energy.h): N rows are one product, and H has a diagonal that outweighs the rest */
    assert_true(fabs(by_sweep.rel_loss / by_sums.rel_loss - 1) < N * 0x1p-24 * K);
    assert_true(fabs(by_sweep.round_off / by_sums.round_off - 1) < N * 0x1p-24);
    assert_true(fabs(by_sweep.trace / by_sums.trace - 1) < 1e-12);
    par_close(&p);
}

static void test_told(void **state)
{
    static double dead[K * K];
    struct solve_opts o = options(ORDER_ACT);

    (void)state;
    memcpy(dead, H, sizeof dead);
    for (size_t k = 0; k < K; k++)
        for (size_t i = 0; i < 2; i++)
            dead[k * K + 5 + i] = dead[(5 + i) * K + k] = 0;
    for (size_t i = 0; i < 4; i++) {
        struct linear *l = linear_new(i == 3 ? dead : H);

        o.damp = i == 0 ? 0 : i == 1 ? 0.01 : 0.3;
        run(&o, l, 2);
        check_told(&o, l);
        free(l);
    }
}

/* Who cannot know the loss does not tell one. */
static void test_not_told(void **state)
{
    static double flat[K * K];
    static float w[N * K];
    struct solve_opts o = options(ORDER_ACT);
    struct linear *l = linear_new(H);

    (void)state;
    o.refine = 1; /* other scales */
    run(&o, l, 1);
    assert_int_equal(l->j.told, 0);
    o = options(ORDER_ACT);
    o.groups = GROUPS_DYNAMIC; /* by the inverse */
    run(&o, l, 1);
    assert_int_equal(l->j.told, 0);
    memcpy(flat, H, sizeof flat);
    for (size_t k = 0; k < K; k++)
        flat[k * K + 5] = flat[5 * K + k] = 0;
    l->j.H = flat;
    o = options(ORDER_ACT);
    o.dead = DEAD_ZERO; /* other weights */
    run(&o, l, 1);
    assert_int_equal(l->j.told, 0);
    /* one input has all, and weights of 0: the squared errors are damping, and what is left of
     * their difference has few digits */
    for (size_t i = 0; i < K * K; i++)
        flat[i] = i == 0 ? 1 : i % (K + 1) == 0 ? 1e-9 : 0;
    for (size_t i = 0; i < N * K; i++)
        w[i] = i % K ? W[i] : 0;
    l->j.W = w;
    o = options(ORDER_NONE);
    run(&o, l, 1);
    assert_int_equal(l->j.told, 0);
    /* nor who has no factor */
    flat[1] = flat[K] = 50;
    run(&o, l, 1);
    assert_int_equal(l->j.told, 0);
    free(l);
}

/* Weights of any float type, in more than one piece and more than one panel. */
static void check_energy(enum dtype type, double rounding)
{
    enum { ROWS = 2 * 2048 + 5, COLUMNS = 100 };
    double *plain = malloc(ROWS * COLUMNS * sizeof *plain), form, square, want = 0, norm = 0,
           most = 0;
    void *weights = malloc(ROWS * COLUMNS * sizeof *plain);
    struct solve_job j = {
        .name = "w", .N = ROWS, .K = COLUMNS, .w_type = type, .W = weights, .H = H};
    struct rng r;
    struct err e = {0};

    assert_true(plain && weights);
    rng_seed(&r, 4, 0);
    for (size_t i = 0; i < ROWS * COLUMNS; i++)
        plain[i] = 0.05 * rng_normal(&r) + (i % COLUMNS == 7 ? 0.2 : 0);
    assert_int_equal(dtype_from_f64(type, plain, ROWS * COLUMNS, weights), 0);
    dtype_to_f64(type, weights, ROWS * COLUMNS, plain);
    for (size_t a = 0; a < COLUMNS; a++)
        for (size_t b = 0; b < COLUMNS; b++) {
            double sum = 0, magnitude = 0;

            for (size_t n = 0; n < ROWS; n++) {
                sum += plain[n * COLUMNS + a] * plain[n * COLUMNS + b];
                magnitude += fabs(plain[n * COLUMNS + a] * plain[n * COLUMNS + b]);
            }
            want += H[a * COLUMNS + b] * sum;
            norm += a == b ? sum : 0;
            most += fabs(H[a * COLUMNS + b]) * magnitude;
        }
    for (size_t threads = 1; threads <= 3; threads += 2) {
        struct par *p = par_open(threads, &e);
        double first = form;

        assert_int_equal(solve_energy(&j, p, &form, &square, &e), 0);
        assert_true(fabs(form - want) <= (ENERGY_ROWS * 0x1p-24 + rounding) * most);
        assert_true(fabs(square - norm) <= (ENERGY_ROWS * 0x1p-24 + rounding) * norm);
        assert_true(threads == 1 || form == first);
        par_close(&p);
    }
    free(plain);
    free(weights);
}

static void test_energy(void **state)
{
    struct solve_job j = {.name = "w", .N = 2, .K = 2, .w_type = DT_I32, .W = W, .H = H};
    struct err e = {0};
    struct par *p = par_open(1, &e);
    double form, square;

    (void)state;
    assert_int_equal(solve_energy(&j, p, &form, &square, &e), -1);
    assert_non_null(strstr(e.text, "w: weights are I32, not a float type"));
    j.w_type = DT_F32;
    j.N = 0;
    assert_int_equal(solve_energy(&j, p, &form, &square, &e), 0);
    assert_true(form == 0 && square == 0);
    par_close(&p);
    for (size_t i = 0; i < 100; i++) /* the corner of H that is a square of 100 columns */
        for (size_t k = 0; k < i; k++)
            H[k * 100 + i] = H[i * 100 + k];
    check_energy(DT_BF16, 0);
    check_energy(DT_F16, 0);
    check_energy(DT_F32, 0);
    check_energy(DT_F64, 0x1p-23); /* both factors are rounded to f32 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_of_the_inverse), cmocka_unit_test(test_told),
        cmocka_unit_test(test_not_told), cmocka_unit_test(test_energy), /* last: it overwrites H */
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("solve_direct", tests, make_site, NULL);
}
