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
    float by[MOST], out[MOST], plain[MOST];
    double x[MOST], q[MOST], g[MOST], given[MOST];

    (void)state;
    for (size_t k = 0; k < MOST; k++)
        by[k] = 1.0f + (float)k / 8;
    for (size_t n = 1; n <= MOST; n++) {
        double sum = 0, want = 0;

        draw(n, n, x);
        draw(n + 1000, n, given);
        memcpy(g, given, sizeof g);
        slide_level(x, n, s, z, top, q);
        slide_value(q, n, s, z, by, out);
        slide_value(q, n, s, z, NULL, plain);
        sum = slide_through(x, n, s, z, top, g);
        for (size_t k = 0; k < n; k++) {
            const double free_ = nearbyint(x[k] / s) + z, c = fmin(fmax(free_, 0), top);
            const int in = free_ >= 0 && free_ <= top;

            assert_true(fabs(q[k] - c) < 1e-12);
            assert_true(fabsf(plain[k] - (float)(s * (c - z))) < 1e-7f);
            assert_true(fabsf(out[k] - plain[k] / by[k]) < 1e-7f);
            assert_true(fabs(g[k] - (in ? given[k] : 0)) < 1e-15);
            want += given[k] * (c - z - (in ? x[k] / s : 0));
        }
        assert_true(fabs(sum - want) < 1e-12);
    }
}

static void test_rows(void **state)
{
    float w[MOST], by[MOST];
    double x[MOST], y[MOST], sum[MOST];

    (void)state;
    for (size_t k = 0; k < MOST; k++) {
        w[k] = (float)k - 30;
        by[k] = 0.5f + (float)k;
        sum[k] = 1;
    }
    slide_times(x, w, by, MOST);
    slide_over(y, w, by, MOST);
    slide_plus(x, w, 2, MOST);
    slide_products(sum, w, by, MOST);
    for (size_t k = 0; k < MOST; k++) {
        assert_true(fabs(x[k] - ((double)w[k] * (double)by[k] + 2 * (double)w[k])) < 1e-12);
        assert_true(fabs(y[k] - (double)w[k] / (double)by[k]) < 1e-15);
        assert_true(fabs(sum[k] - 1 - (double)w[k] * (double)by[k]) < 1e-12);
    }
    slide_times(x, w, NULL, MOST);
    slide_over(y, w, NULL, MOST);
    for (size_t k = 0; k < MOST; k++)
        assert_true(fabs(x[k] - (double)w[k]) < 1e-15 && fabs(y[k] - (double)w[k]) < 1e-15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests_name("slide_loops", tests, NULL, NULL);
}
