/* SPDX-License-Identifier: Apache-2.0 */
/* The factor of an inverse Hessian: from one triangle of H alone, with nothing below its diagonal,
 * at a size where the pages of that are given back, and what it says when H has no factor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "../../common/base/mem.h"
#include "../../common/tensor/inverse.h"

#define DAMP 0.01

/* Element of diag(1 + k % 7) + v v' / K with v[k] = (k % 5) - 2. */
static double element(size_t K, size_t i, size_t j)
{
    const double vi = (double)(i % 5) - 2, vj = (double)(j % 5) - 2;

    return (i == j ? 1 + (double)(i % 7) : 0) + vi * vj / (double)K;
}

/* Only the lower triangle is there. */
static double *lower(size_t K)
{
    struct err e = {0};
    double *H = mem_raw(K * K, sizeof *H, &e);

    assert_non_null(H);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < K; j++)
            H[i * K + j] = j <= i ? element(K, i, j) : NAN;
    return H;
}

/* (H + damping) U'U e = e for a unit vector e, in the order of columns. */
static void check_column(size_t K, const double *U, const size_t *order, double add, size_t c)
{
    double *x = calloc(K, sizeof *x);

    assert_non_null(x);
    for (size_t r = 0; r <= c; r++) /* U has nothing below the diagonal */
        for (size_t k = r; k < K; k++)
            x[k] += U[r * K + k] * U[r * K + c];
    for (size_t i = 0; i < K; i++) {
        double sum = add * x[i];

        for (size_t k = 0; k < K; k++)
            sum += element(K, order[i], order[k]) * x[k];
        /* rounding of K products of a matrix whose condition is below 20 */
        assert_true(fabs(sum - (i == c)) < 20 * 2.3e-16 * (double)K);
    }
    free(x);
}

static void run(size_t K)
{
    struct err e = {0};
    struct inverse_used used;
    double *H = lower(K), *U = mem_raw(K * K, sizeof *U, &e), *diag = calloc(K, sizeof *diag);
    size_t *order = calloc(K, sizeof *order);
    double mean = 0;

    assert_true(U && diag && order);
    for (size_t k = 0; k < K * K; k++)
        U[k] = NAN; /* what was in this memory before */
    for (size_t k = 0; k < K; k++) {
        order[k] = (k * 5 + 3) % K; /* no multiple of 5 */
        diag[k] = H[k * K + k];
        mean += diag[k] / (double)K;
    }
    assert_int_equal(inverse_factor(DAMP, K, H, diag, order, U, &used, NULL, &e), 0);
    assert_null(used.fallback);
    assert_int_equal(used.attempts, 1);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(U[i * K + j] == 0);
    check_column(K, U, order, DAMP * mean, 0);
    check_column(K, U, order, DAMP * mean, K / 2);
    check_column(K, U, order, DAMP * mean, K - 1);
    free(H);
    free(U);
    free(diag);
    free(order);
}

static void test_sizes(void **state)
{
    (void)state;
    run(1);
    run(2);
    run(3);
    run(64);
    run(127);
    run(2301); /* rows of more than 16 KiB, most of which begin within a page */
}

/* H = R R' in the order of columns, R from the direct factor V; the same for any number of threads,
 * and with the diagonal of U. */
static void run_direct(size_t K, size_t threads)
{
    struct err e = {0};
    struct inverse_used used;
    struct par *p = par_open(threads, &e);
    double *H = lower(K), *V = mem_raw(K * K, sizeof *V, &e), *U = mem_raw(K * K, sizeof *U, &e);
    double *diag = calloc(K, sizeof *diag), mean = 0;
    size_t *order = calloc(K, sizeof *order);

    assert_true(p && V && U && diag && order);
    for (size_t k = 0; k < K; k++) {
        order[k] = (k * 5 + 3) % K;
        diag[k] = H[k * K + k];
        mean += diag[k] / (double)K;
    }
    assert_int_equal(direct_factor(DAMP, K, H, diag, order, V, &used, p, &e), 0);
    assert_int_equal(direct_factor(DAMP, K, H, diag, order, U, &used, NULL, &e), 0);
    assert_memory_equal(U, V, K * K * sizeof *V);
    assert_null(used.fallback);
    assert_true(fabs(used.add - DAMP * mean) < 1e-15 * mean * (double)K && used.least < 0);
    for (size_t i = 0; i < K; i += K / 7 + 1) /* some rows */
        for (size_t j = i; j < K; j++) {
            double sum = 0;

            for (size_t k = j; k < K; k++) {
                const double root = 1 / V[k * K + k];

                sum +=
                    (k == i ? root : V[i * K + k] * root) * (k == j ? root : V[j * K + k] * root);
            }
            sum -= i == j ? used.add : 0;
            /* |R| |R'| has the diagonal of H, below 8.1 */
            assert_true(fabs(sum - element(K, order[i], order[j])) < 8.1 * 2.3e-16 * (double)K);
        }
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < i; j++)
            assert_true(V[i * K + j] == 0);
    assert_int_equal(inverse_factor(DAMP, K, H, diag, order, U, &used, p, &e), 0);
    for (size_t k = 0; k < K; k++)
        assert_true(fabs(U[k * K + k] / V[k * K + k] - 1) < 20 * 2.3e-16 * (double)K);
    par_close(&p);
    free(H);
    free(V);
    free(U);
    free(diag);
    free(order);
}

static void test_direct(void **state)
{
    (void)state;
    run_direct(1, 1);
    run_direct(2, 2);
    run_direct(127, 2);
    run_direct(701, 3); /* some blocks, the last of them narrow */
}

static void test_indefinite(void **state)
{
    const double H[4] = {1, NAN, 3, 1}, nan[4] = {1, NAN, NAN, 1}, diag[2] = {1, 1};
    const size_t order[2] = {1, 0};
    struct inverse_used used;
    struct err e = {0};
    double U[4];

    (void)state;
    assert_int_equal(inverse_factor(DAMP, 2, H, diag, order, U, &used, NULL, &e), 0);
    assert_string_equal(used.fallback, "rtn");
    assert_in_range(used.attempts, 7, 20);
    assert_int_equal(inverse_factor(DAMP, 2, nan, diag, order, U, &used, NULL, &e), 0);
    assert_string_equal(used.fallback, "rtn");
    assert_int_equal(direct_factor(DAMP, 2, H, diag, order, U, &used, NULL, &e), 0);
    assert_string_equal(used.fallback, "rtn");
}

/* A negative diagonal is lifted by the floor, and that is said. */
static void test_floor(void **state)
{
    const double H[4] = {1, NAN, 0.6, -0.02}, diag[2] = {1, -0.02};
    const size_t order[2] = {0, 1};
    struct inverse_used used;
    struct err e = {0};
    double V[4];

    (void)state;
    assert_int_equal(direct_factor(DAMP, 2, H, diag, order, V, &used, NULL, &e), 0);
    assert_string_equal(used.fallback, "floor");
    assert_true(used.least == 0.1 && fabs(used.add - 0.5 * 0.49) < 1e-15);
    /* of H_11 what is left beside column 2 */
    assert_true(fabs(1 / (V[3] * V[3]) - (used.least + used.add)) < 1e-15);
    assert_true(fabs(1 / (V[0] * V[0]) - (1 + used.add - 0.6 * 0.6 * V[3] * V[3])) < 1e-14);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_direct),
        cmocka_unit_test(test_indefinite),
        cmocka_unit_test(test_floor),
    };
    return cmocka_run_group_tests_name("inverse", tests, NULL, NULL);
}
