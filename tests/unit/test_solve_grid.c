/* SPDX-License-Identifier: Apache-2.0 */
/* Grids: storage of scales, zero points kept out of 0, ranges; and the vector loops under them
 * against plain ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>
#include "../../common/base/rng.h"
#include "../../stages/solve/solve_grid.h"

#define R SOLVE_TILE

extern const struct grid grid_sym_narrow, grid_asym;

/* The level next to each of R numbers, with 4 bits. */
static void nearest(const double *w, const double *s, const double *z, double *q, uint8_t *code)
{
    grid_sym.nearest(&(struct grid_lanes){4, s, z}, w, q, code);
}

static void fit(const struct solve_opts *o, const double *x, size_t n, double *s, double *z,
                size_t *raised)
{
    struct solve_job j = {.name = "w", .N = R, .K = n, .G = 1};
    struct err e = {0};

    if (solve_grid_fit(o, &j, 0, 0, x, n, s, z, &e))
        fail_msg("%s", e.text);
    if (raised)
        *raised = atomic_load(&j.raised);
}

static struct solve_opts opts(const struct grid *grid, int bits, enum dtype type, int zero_min)
{
    struct solve_opts o = solve_opts_default();

    o.grid = grid;
    o.bits = bits;
    o.scale_type = type;
    o.zero_min = zero_min;
    return o;
}

static void test_overflow(void **ctx)
{
    static double x[2 * R];
    struct solve_opts o = opts(&grid_sym, 4, DT_F16, 1);
    struct solve_job j = {.name = "layer.q", .N = R, .K = 2, .G = 1};
    double s[R], z[R];
    struct err e = {0};

    (void)ctx;
    x[7] = 1e6;
    assert_int_equal(solve_grid_fit(&o, &j, 100, 0, x, 2, s, z, &e), -1);
    assert_int_equal(e.kind, ERR_DATA);
    assert_non_null(strstr(e.text, "layer.q"));
    assert_non_null(strstr(e.text, "row 107"));
    assert_non_null(strstr(e.text, "bf16"));
    o.scale_type = DT_BF16;
    assert_int_equal(solve_grid_fit(&o, &j, 100, 0, x, 2, s, z, &e), 0);
}

static void test_store(void **ctx)
{
    double s = INFINITY;
    int raised;

    (void)ctx;
    assert_int_equal(grid_store_scale(DT_F16, &s, &raised), -1);
    s = 65520.0; /* half way between the largest number and what would be next: rounds to infinity
                  */
    assert_int_equal(grid_store_scale(DT_F16, &s, &raised), -1);
    s = 65519.0;
    assert_int_equal(grid_store_scale(DT_F16, &s, &raised), 0);
    assert_true(s == 65504.0);
    s = 1.0 + 0x1p-11; /* a tie goes to even */
    assert_int_equal(grid_store_scale(DT_F16, &s, &raised), 0);
    assert_true(s == 1.0 && !raised);
    s = 3.0 * 0x1p-24; /* subnormal numbers are numbers */
    assert_int_equal(grid_store_scale(DT_F16, &s, &raised), 0);
    assert_true(s == 3.0 * 0x1p-24 && !raised);
    s = 0x1p-26;
    assert_int_equal(grid_store_scale(DT_F16, &s, &raised), 0);
    assert_true(s == 0x1p-14 && raised);
    s = 0.1;
    assert_int_equal(grid_store_scale(DT_F64, &s, &raised), 0);
    assert_true(s == 0.1 && !raised);
}

/* A group too small for f16 becomes zeros, and is counted. */
static void test_raised(void **ctx)
{
    static double x[4 * R];
    struct solve_opts o = opts(&grid_sym, 4, DT_F16, 1);
    double s[R], z[R], q[R];
    uint8_t code[R];
    size_t raised;

    (void)ctx;
    for (size_t i = 0; i < 4 * R; i++)
        x[i] = i % R == 3 ? 1e-8 : 0.5;
    fit(&o, x, 4, s, z, &raised);
    assert_int_equal(raised, 1);
    assert_true(s[3] == 0x1p-14);
    nearest(x, s, z, q, code);
    assert_int_equal(code[3], 8);
    assert_true(q[3] == 0.0);
}

/* Whatever the signs, asym holds the whole range to half a step, and its zero point is at least
 * zero_min. */
static void test_asym_holds_range(void **ctx)
{
    static double x[8 * R];
    static const int bits[] = {2, 3, 4, 8};
    static const enum dtype type[] = {DT_F16, DT_BF16, DT_F32, DT_F64};
    struct rng r;
    double s[R], z[R];

    (void)ctx;
    rng_seed(&r, 1, 0);
    for (size_t i = 0; i < 8 * R; i++) {
        const double shift = i % R % 4 == 0   ? 1.5
                             : i % R % 4 == 1 ? -1.5
                             : i % R % 4 == 2 ? 0.49
                                              : 0.0;
        x[i] = rng_unit(&r) - 0.5 + shift;
    }
    for (int zero_min = 0; zero_min <= 1; zero_min++)
        for (size_t b = 0; b < 4; b++)
            for (size_t t = 0; t < 4; t++) {
                const struct solve_opts o = opts(&grid_asym, bits[b], type[t], zero_min);
                const double top = (double)((1 << o.bits) - 1);

                fit(&o, x, 8, s, z, NULL);
                for (size_t i = 0; i < 8 * R; i++) {
                    const size_t k = i % R;
                    /* half a step, half a step of the zero point, the rounding of the scale at most
                     * top times */
                    const double slack =
                        s[k] * (1.0 + top * (type[t] == DT_BF16 ? 0x1p-8 : 0x1p-11));
                    assert_true(z[k] >= zero_min && z[k] <= top);
                    assert_true(x[i] <= s[k] * (top - z[k]) + slack &&
                                x[i] >= -s[k] * z[k] - slack);
                }
            }
}

static void test_zero_min(void **ctx)
{
    static double x[2 * R];
    struct solve_opts o = opts(&grid_asym, 4, DT_F64, 0);
    double s[R], z[R];

    (void)ctx;
    for (size_t r = 0; r < R; r++)
        x[r] = 0.25;
    for (size_t r = 0; r < R; r++)
        x[R + r] = 1.0;
    fit(&o, x, 2, s, z, NULL);
    assert_true(z[0] == 0.0 && s[0] == 1.0 / 15.0);
    o.zero_min = 1;
    fit(&o, x, 2, s, z, NULL);
    assert_true(z[0] == 1.0 &&
                s[0] ==
                    1.0 / 14.0); /* code 15 is 14 steps above zero: the largest weight exactly */
    o.fit = FIT_MSE;
    fit(&o, x, 2, s, z, NULL);
    assert_true(z[0] == 1.0 && s[0] <= 1.0 / 14.0);
}

static void test_special_groups(void **ctx)
{
    static double x[2 * R];
    double s[R], z[R];
    struct solve_opts o = opts(&grid_sym, 4, DT_F64, 1);

    (void)ctx;
    fit(&o, x, 2, s, z, NULL); /* all zero */
    assert_true(s[0] == 2.0 / 15.0 && z[0] == 8.0);
    o.grid = &grid_asym;
    fit(&o, x, 2, s, z, NULL);
    assert_true(s[0] == 2.0 / 15.0 && z[0] == 8.0); /* 7.5 to even */
    o.grid = &grid_sym_narrow;
    fit(&o, x, 2, s, z, NULL);
    assert_true(fabs(s[0] * 7.0 - 1e-5) < 1e-18 && z[0] == 8.0);
    x[0] = 1.0;
    x[1] = -1.0;
    o.grid = &grid_sym;
    fit(&o, x, 2, s, z, NULL);
    assert_true(s[0] == 1.0 / 15.0 &&
                s[1] == 2.0 / 15.0); /* the reference's rule for groups without negative weights */
}

/* ---- loops ---- */

static void test_round_half_even(void **ctx)
{
    double w[R], s[R], z[R], q[R];
    uint8_t code[R];

    (void)ctx;
    for (size_t r = 0; r < R; r++) {
        w[r] = ((double)r - 32.0) * 0.5;
        s[r] = 1.0;
        z[r] = 8.0;
    }
    w[0] = -1e300;
    w[1] = 1e300;
    w[2] = INFINITY;
    s[3] = DBL_MIN;
    nearest(w, s, z, q, code);
    assert_int_equal(code[0], 0);
    assert_int_equal(code[1], 15);
    assert_int_equal(code[2], 15);
    assert_int_equal(code[3], 0);
    for (size_t r = 4; r < R; r++) {
        const double want = fmin(fmax(nearbyint(w[r]) + 8.0, 0.0), 15.0);
        assert_int_equal(code[r], (int)want);
        assert_true(q[r] == want - 8.0);
    }
    assert_int_equal(code[32 + 1], 8);  /* .5 -> 0 */
    assert_int_equal(code[32 + 3], 10); /* 1.5 -> 2 */
    assert_int_equal(code[32 + 5], 10); /* 2.5 -> 2 */
}

/* The power of the search has 1e-9 relative accuracy or better: far finer than the gap of
 * candidates that matters (1e-6). */
static void test_error_power(void **ctx)
{
    static double x[50 * R];
    double s[R], z[R], unit[R], sums[R] = {0}, want[R] = {0}, q[R];
    struct rng r;

    (void)ctx;
    rng_seed(&r, 2, 0);
    for (size_t i = 0; i < 50 * R; i++)
        x[i] = rng_normal(&r) * exp(4.0 * rng_normal(&r));
    for (size_t i = 0; i < R; i++) {
        double a = 0.0;
        for (size_t k = 0; k < 50; k++)
            a = fmax(a, fabs(x[k * R + i]));
        s[i] = a / 7.5;
        z[i] = 8.0;
        unit[i] = 1.0 / a;
    }
    solve_tile_error(x, 50, &grid_sym, &(struct grid_lanes){4, s, z}, unit, sums);
    for (size_t k = 0; k < 50; k++) {
        nearest(x + k * R, s, z, q, NULL);
        for (size_t i = 0; i < R; i++)
            want[i] += pow(fabs(q[i] - x[k * R + i]) * unit[i], 2.4);
    }
    for (size_t i = 0; i < R; i++)
        assert_true(fabs(sums[i] - want[i]) <= 1e-9 * want[i]);
}

static void test_spread_and_load(void **ctx)
{
    static double tile[5 * R], wide[5 * 2 * R];
    static float w[70 * 5];
    double e[R];
    const double u[3] = {2.0, -1.0, 0.5};

    (void)ctx;
    for (size_t i = 0; i < 70 * 5; i++)
        w[i] = (float)i;
    assert_int_equal(solve_tile_load(DT_I32, w, 70, 5, 0, tile, R), -1);
    assert_int_equal(solve_tile_count(0), 0);
    assert_int_equal(solve_tile_count(1), 1);
    assert_int_equal(solve_tile_count(64), 1);
    assert_int_equal(solve_tile_count(65), 2);
    assert_int_equal(solve_tile_load(DT_F32, w, 70, 5, 64, tile, R), 0);
    assert_int_equal(solve_tile_load(DT_F32, w, 70, 5, 64, wide + R, 2 * R), 0);
    for (size_t k = 0; k < 5; k++)
        for (size_t r = 0; r < R; r++)
            assert_true(tile[k * R + r] == (r < 6 ? (double)((64 + r) * 5 + k) : 0.0) &&
                        wide[(2 * k + 1) * R + r] == tile[k * R + r] && wide[2 * k * R + r] == 0.0);
    for (size_t r = 0; r < R; r++)
        e[r] = (double)r;
    solve_tile_spread(tile + R, 3, e, u);
    assert_true(tile[4] == 340.0 && tile[R + 4] == 341.0 - 8.0 && tile[2 * R + 4] == 342.0 + 4.0 &&
                tile[3 * R + 4] == 343.0 - 2.0 && tile[4 * R + 4] == 344.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overflow),        cmocka_unit_test(test_store),
        cmocka_unit_test(test_raised),          cmocka_unit_test(test_asym_holds_range),
        cmocka_unit_test(test_zero_min),        cmocka_unit_test(test_special_groups),
        cmocka_unit_test(test_round_half_even), cmocka_unit_test(test_error_power),
        cmocka_unit_test(test_spread_and_load),
    };

    return cmocka_run_group_tests_name("solve_grid", tests, NULL, NULL);
}
