/* SPDX-License-Identifier: Apache-2.0 */
/* The loops of a step against the same in plain words, for lengths around the lanes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/rng.h"
#include "../../stages/slide/slide_loops.h"

enum { MOST = 67 };

static void draw(uint64_t seed, size_t n, double *x)
{
    struct rng rng;

    rng_seed(&rng, seed, 0);
    for (size_t k = 0; k < n; k++)
        x[k] = 2 * rng_unit(&rng) - 1;
}

static void test_ends(void **state)
{
    double x[MOST], lo, hi;

    (void)state;
    for (size_t n = 0; n <= MOST; n++) {
        double least = 0, most = 0;

        draw(n, n, x);
        for (size_t k = 0; k < n; k++) {
            least = fmin(least, x[k]);
            most = fmax(most, x[k]);
        }
        slide_ends(x, n, &lo, &hi);
        assert_true(lo >= least && lo <= least && hi >= most && hi <= most);
        if (n && lo < 0)
            assert_true(x[slide_first(x, n, lo)] <= lo);
        assert_int_equal(slide_first(x, n, 2.0), n);
    }
    x[0] = x[1] = x[2] = 0.5;
    slide_ends(x, 3, &lo, &hi);
    assert_true(lo <= 0 && lo >= 0); /* 0 is among them */
    assert_int_equal(slide_first(x, 3, 0.5), 0);
}

/* Codes 0 to 3 around a zero point of 1, a step of 0.25: some are cut off. */
static void test_rounding(void **state)
{
    const double s = 0.25, z = 1, top = 3;
    float by[MOST], out[MOST], plain[MOST], g[MOST], to[MOST], over[MOST];
    double x[MOST], q[MOST], given[MOST];

    (void)state;
    for (size_t k = 0; k < MOST; k++)
        by[k] = 1.0f + (float)k / 8;
    for (size_t n = 1; n <= MOST; n++) {
        double sum, divided, want = 0, want_divided = 0;

        draw(n, n, x);
        draw(n + 1000, n, given);
        for (size_t k = 0; k < n; k++)
            g[k] = (float)given[k];
        slide_level(x, n, s, z, top, q);
        slide_value(x, n, s, z, top, by, out);
        slide_value(x, n, s, z, top, NULL, plain);
        sum = slide_through(x, n, s, z, top, g, NULL, to);
        divided = slide_through(x, n, s, z, top, g, by, over);
        for (size_t k = 0; k < n; k++) {
            const double free_ = nearbyint(x[k] / s) + z, c = fmin(fmax(free_, 0), top);
            const int in = free_ >= 0 && free_ <= top;

            assert_true(fabs(q[k] - c) < 1e-12);
            assert_true(fabsf(plain[k] - (float)(s * (c - z))) < 1e-7f);
            assert_true(fabsf(out[k] - plain[k] / by[k]) < 1e-7f);
            assert_true(fabsf(to[k] - (in ? g[k] : 0)) <= 0);
            assert_true(fabsf(over[k] - (in ? g[k] / by[k] : 0)) < 1e-7f);
            want += (double)g[k] * (c - z - (in ? x[k] / s : 0));
            want_divided += (double)g[k] / (double)by[k] * (c - z - (in ? x[k] / s : 0));
        }
        assert_true(fabs(sum - want) < 1e-12 && fabs(divided - want_divided) < 1e-12);
    }
}

static void test_apart(void **state)
{
    float y[MOST], z[MOST], was[MOST];

    (void)state;
    for (size_t n = 0; n <= MOST; n++) {
        double want = 0, squares = 0;

        for (size_t k = 0; k < n; k++) {
            was[k] = y[k] = (float)(k % 7) - 2.5f;
            z[k] = (float)k / 16;
            want += ((double)y[k] - (double)z[k]) * ((double)y[k] - (double)z[k]);
            squares += (double)y[k] * (double)y[k];
        }
        assert_true(fabs(slide_apart(y, z, n, 0, 3) - want) <= 1e-13 * want);
        assert_true(fabs(slide_apart(y, NULL, n, 0, 3) - squares) <= 1e-13 * squares);
        assert_memory_equal(y, was, n * sizeof *y);
        assert_true(fabs(slide_apart(y, z, n, 1, 3) - want) <= 1e-13 * want);
        for (size_t k = 0; k < n; k++)
            assert_true(fabsf(y[k] - 6 * (was[k] - z[k])) < 1e-5f);
    }
}

static void test_rows(void **state)
{
    float w[MOST], by[MOST], y[MOST];
    double x[MOST], sum[MOST];

    (void)state;
    for (size_t k = 0; k < MOST; k++) {
        w[k] = (float)k - 30;
        by[k] = 0.5f + (float)k;
        sum[k] = 1;
    }
    slide_times(x, w, by, MOST);
    slide_over(y, x, by, MOST);
    slide_products(sum, w, by, MOST);
    for (size_t k = 0; k < MOST; k++) {
        assert_true(fabs(x[k] - (double)w[k] * (double)by[k]) < 1e-12);
        assert_true(fabsf(y[k] - w[k]) < 1e-5f);
        assert_true(fabs(sum[k] - 1 - (double)w[k] * (double)by[k]) < 1e-12);
    }
    slide_times(x, w, NULL, MOST);
    slide_over(y, x, NULL, MOST);
    for (size_t k = 0; k < MOST; k++)
        assert_true(fabs(x[k] - (double)w[k]) < 1e-15 && fabsf(y[k] - w[k]) <= 0);
}

/* As many terms as A B may have, and one more and less than are added at once. */
static void test_terms(void **state)
{
    enum { TERMS = 9, STEP = 3 };
    float a[TERMS * MOST], b[TERMS * STEP];

    (void)state;
    for (size_t k = 0; k < TERMS * MOST; k++)
        a[k] = (float)(k % 31) - 15;
    for (size_t k = 0; k < TERMS * STEP; k++)
        b[k] = (float)(k % 7) - 3;
    for (size_t terms = 0; terms <= TERMS; terms++)
        for (size_t n = 1; n <= MOST; n++) {
            double x[MOST], want[MOST];

            draw(n, n, x);
            memcpy(want, x, sizeof want);
            slide_plus(x, a, b, STEP, terms, n);
            for (size_t r = 0; r < terms; r++)
                for (size_t k = 0; k < n; k++)
                    want[k] += (double)a[r * n + k] * (double)b[r * STEP];
            assert_memory_equal(x, want, n * sizeof *x); /* in the same order: the same bits */
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends), cmocka_unit_test(test_rounding), cmocka_unit_test(test_apart),
        cmocka_unit_test(test_rows), cmocka_unit_test(test_terms),
    };
    return cmocka_run_group_tests_name("slide_loops", tests, NULL, NULL);
}
