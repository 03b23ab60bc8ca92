/* SPDX-License-Identifier: Apache-2.0 */
/* test_rotation - Q Q' = I to rounding, the same Q for the same seed, another for another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/tensor/blas.h"
#include "../../common/tensor/rotation.h"

static struct par *par;

/* Q itself: the identity times Q. */
static double *whole(enum rotation_kind kind, size_t n, uint64_t seed)
{
    struct err e = {0};
    struct rotation *r = rotation_create(kind, n, seed, par, &e);
    double *x = calloc(n * n, sizeof *x), *scratch = calloc(n * n, sizeof *scratch);

    if (!r || !x || !scratch)
        fail_msg("%s", e.text);
    for (size_t i = 0; i < n; i++)
        x[i * n + i] = 1;
    assert_int_equal(rotation_apply(r, n, x, scratch, &e), 0);
    rotation_destroy(&r);
    assert_null(r);
    free(scratch);
    return x;
}

/* A sum of n products of numbers whose squares add up to 1 is off by n u (1 + what Q itself is
 * off): 1e-15 n + 1e-14 covers both. */
static void assert_orthogonal(const double *q, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;

            for (size_t k = 0; k < n; k++)
                sum += q[i * n + k] * q[j * n + k];
            if (!(fabs(sum - (i == j)) <= 2 * (1e-15 * (double)n + 1e-14)))
                fail_msg("n %zu: rows %zu and %zu: %g", n, i, j, sum);
        }
}

static void test_refused(void **state)
{
    struct err e = {0};

    (void)state;
    assert_null(rotation_create(ROTATION_HADAMARD, 0, 1, par, &e));
    assert_int_equal(e.kind, ERR_USE);
    assert_null(rotation_create(ROTATION_ORTHOGONAL, 0, 1, par, &e));
    assert_null(rotation_create(ROTATION_RANDOM_HADAMARD, 22, 1, par, &e));
    assert_non_null(strstr(e.text, "22"));
    rotation_destroy(NULL);
}

static void test_orthogonal(void **state)
{
    static const size_t orders[] = {1, 2, 12, 22, 64, 100, 144, 257};

    (void)state;
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        for (int kind = 0; kind < 3; kind++) {
            double *q;

            if (kind != ROTATION_ORTHOGONAL && (orders[i] == 22 || orders[i] == 257))
                continue;
            q = whole((enum rotation_kind)kind, orders[i], 7);
            assert_orthogonal(q, orders[i]);
            free(q);
        }
}

static void test_seeds(void **state)
{
    const size_t n = 36, bytes = n * n * sizeof(double);

    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        double *a = whole((enum rotation_kind)kind, n, 1),
               *b = whole((enum rotation_kind)kind, n, 1),
               *c = whole((enum rotation_kind)kind, n, 2);

        assert_int_equal(memcmp(a, b, bytes), 0);
        assert_int_equal(memcmp(a, c, bytes) == 0, kind == ROTATION_HADAMARD);
        free(a);
        free(b);
        free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_orthogonal),
                                       cmocka_unit_test(test_seeds)};
    struct err e = {0};
    int rc;

    if (blas_start(&e) || !(par = par_open(2, &e)))
        return err_exit(&e);
    rc = cmocka_run_group_tests_name("rotation", tests, NULL, NULL);
    par_close(&par);
    return rc;
}
