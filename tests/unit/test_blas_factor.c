/* SPDX-License-Identifier: Apache-2.0 */
/* Factorisation and inversion in f64: back to the identity, across blocks, for any number of
 * threads, and bad pivots by their place. */
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

static double *random_f64(size_t n, uint64_t seed)
{
    struct rng r;
    double *x = mem_raw(n, sizeof *x, NULL);

    assert_non_null(x);
    rng_seed(&r, seed, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = rng_unit(&r) - 0.5;
    return x;
}

static void test_refuses(void **state)
{
    double d[4] = {1, 0, 0, -1};

    (void)state;
    assert_int_equal(blas_potrf(NULL, 2, d, 1), -1);
    assert_int_equal(blas_trtri(NULL, 2, d, 1), -1);
    assert_int_equal(blas_potrf(NULL, 2, d, 2), 2);
    d[3] = NAN;
    assert_int_equal(blas_potrf(NULL, 2, d, 2), 2);
    assert_int_equal(blas_potrf(NULL, 0, d, 0), 0);
}

/* A = B B' + K: factor, invert, and come back to the identity; residual bound K^2 eps times a
 * condition number below 20. */
static void test_factor(void **state)
{
    enum { K = 300 };
    double *b = random_f64(K * K, 9), *a = mem_raw(K * K, sizeof *a, NULL),
           *l = mem_raw(K * K, sizeof *l, NULL);
    double *one = mem_raw(K * K, sizeof *one, NULL), *first = mem_raw(K * K, sizeof *first, NULL);
    struct err e = {0};
    struct par *p = par_open(3, &e);

    (void)state;
    assert_true(a && l && one && first);
    assert_int_equal(blas_dgemm(p, 0, 1, K, K, K, 1.0, b, K, b, K, 0.0, first, K, &e), 0);
    assert_int_equal(blas_dgemm(NULL, 0, 1, K, K, K, 1.0, b, K, b, K, 0.0, a, K, &e), 0);
    assert_true(memcmp(first, a, K * K * sizeof *a) == 0);
    for (size_t i = 0; i < K; i++)
        a[i * K + i] += K;
    memcpy(l, a, K * K * sizeof *l);
    l[1] = 12345.0; /* above the diagonal: neither read nor written */
    assert_int_equal(blas_potrf(p, K, l, K), 0);
    assert_true(l[1] == 12345.0);
    assert_int_equal(blas_trtri(p, K, l, K), 0);
    for (size_t i = 0; i < K; i++)
        memset(l + i * K + i + 1, 0, (K - i - 1) * sizeof *l);
    assert_int_equal(blas_dgemm(p, 0, 0, K, K, K, 1.0, l, K, a, K, 0.0, one, K, &e), 0);
    assert_int_equal(blas_dgemm(p, 0, 1, K, K, K, 1.0, one, K, l, K, 0.0, a, K, &e), 0);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < K; j++)
            assert_true(fabs(a[i * K + j] - (i == j)) <= (double)K * K * DBL_EPSILON * 20);
    par_close(&p);
    free(a);
    free(b);
    free(l);
    free(one);
    free(first);
}

static double block_element(size_t K, size_t i, size_t j)
{
    const size_t r = j < i ? i : j, c = j < i ? j : i;

    return r == c ? (double)K : (double)((r * 7 + c * 13) % 101) / 101;
}

/* L (L' x) = A x and inverse(L) L y = y, to K eps times the largest sums times a condition number
 * below 20. */
static void check_blocks(size_t K, struct par *p, double *l)
{
    double *x = random_f64(K, 11), *y = mem_array(2 * K, sizeof *y, NULL), *z = y + K;
    const double most = 20.0 * (double)K * DBL_EPSILON * (double)K;

    assert_non_null(y);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j <= i; j++)
            l[i * K + j] = block_element(K, i, j);
    assert_int_equal(blas_potrf(p, K, l, K), 0);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j <= i; j++)
            y[j] += l[i * K + j] * x[i];
    for (size_t i = 0; i < K; i++) {
        double want = 0;

        for (size_t j = 0; j <= i; j++)
            z[i] += l[i * K + j] * y[j];
        for (size_t j = 0; j < K; j++)
            want += x[j] * block_element(K, i, j);
        assert_true(fabs(z[i] - want) <= most);
    }
    assert_int_equal(blas_trtri(p, K, l, K), 0);
    for (size_t i = 0; i < K; i++) {
        double sum = 0;

        for (size_t j = 0; j <= i; j++)
            sum += l[i * K + j] * z[j];
        assert_true(fabs(sum - y[i]) <= most);
    }
    free(x);
    free(y);
}

/* Blocks of both sizes, the last one narrow: the same bytes for any number of threads, and a pivot
 * that is bad far down is named. */
static void test_blocks(void **state)
{
    enum { K = 700, LARGE = 3100 };
    double *a = mem_raw(K * K, sizeof *a, NULL), *l = mem_raw(LARGE * LARGE, sizeof *l, NULL);
    struct err e = {0};
    struct par *p = par_open(2, &e);

    (void)state;
    assert_true(a && l && p);
    check_blocks(LARGE, p, l);
    for (size_t i = 0; i < K * K; i++)
        a[i] = l[i] = 0.25; /* above the diagonal it stays */
    check_blocks(K, p, l);
    check_blocks(K, NULL, a);
    assert_memory_equal(a, l, K * K * sizeof *a);
    assert_true(a[K - 1] == 0.25);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j <= i; j++)
            l[i * K + j] = i == j ? (i == K - 2 ? -1 : 1) : 0;
    assert_int_equal(blas_potrf(p, K, l, K), K - 1);
    l[(K - 2) * K + K - 2] = 0;
    assert_int_equal(blas_trtri(p, K, l, K), K - 1);
    par_close(&p);
    free(a);
    free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_factor),
        cmocka_unit_test(test_blocks),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("blas_factor", tests, NULL, NULL);
}
