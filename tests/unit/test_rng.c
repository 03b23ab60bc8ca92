/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers: the sequence is fixed, streams differ, distributions are what they say. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/rng.h"

/* xoshiro256** from state {1, 2, 3, 4}: the first outputs follow from the definition by hand. */
static void test_sequence(void **state)
{
    struct rng r = {{1, 2, 3, 4}};

    (void)state;
    assert_true(rng_next(&r) == 11520);
    assert_true(rng_next(&r) == 0);
    assert_true(rng_next(&r) == 1509978240);
    assert_true(rng_next(&r) == 1215971899390074240u);
}

static void test_seeds(void **state)
{
    struct rng a, b, c, d;

    (void)state;
    rng_seed(&a, 1, 0);
    rng_seed(&b, 1, 0);
    rng_seed(&c, 1, 1);
    rng_seed(&d, 2, 0);
    for (int i = 0; i < 100; i++) {
        uint64_t x = rng_next(&a);

        assert_true(x == rng_next(&b));
        assert_true(x != rng_next(&c));
        assert_true(x != rng_next(&d));
    }
}

/* Bounds at five standard deviations of the estimate: 1 chance in a million, and the seed is
 * fixed. */
static void test_distributions(void **state)
{
    enum { N = 100000 };
    size_t hits[7] = {0};
    double sum = 0, sq = 0, usum = 0;
    struct rng r;

    (void)state;
    rng_seed(&r, 42, 3);
    for (int i = 0; i < N; i++) {
        uint64_t k = rng_below(&r, 7);
        double u = rng_unit(&r), g = rng_normal(&r);

        assert_true(k < 7);
        assert_true(u >= 0 && u < 1);
        hits[k]++;
        usum += u;
        sum += g;
        sq += g * g;
    }
    for (int k = 0; k < 7; k++)
        assert_true(fabs((double)hits[k] - N / 7.0) < 5 * sqrt(N * 6.0 / 49));
    assert_true(fabs(usum / N - 0.5) < 5 * sqrt(1.0 / 12 / N));
    assert_true(fabs(sum / N) < 5 / sqrt((double)N));
    assert_true(fabs(sq / N - 1) < 5 * sqrt(2.0 / N));
    assert_int_equal(rng_below(&r, 1), 0);
    assert_true(rng_below(&r, UINT64_MAX) < UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sequence),
                                       cmocka_unit_test(test_seeds),
                                       cmocka_unit_test(test_distributions)};

    return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
