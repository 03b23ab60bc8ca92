/* SPDX-License-Identifier: Apache-2.0 */
/* test_back16 - what goes back through a linear, of bf16 (blas_back16.c, op_linear.c). */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../common/base/mem.h"
#include "../../common/base/rng.h"
#include "../../common/model/op.h"
#include "../../common/model/weights16.h"
#include "../../common/tensor/blas.h"
#include "../../common/tensor/dtype.h"

static void random_fill(float *x, size_t n, uint64_t seed)
{
    struct rng r;

    rng_seed(&r, seed, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(rng_unit(&r) - 0.5);
}

/* Numbers that bf16 holds. */
static float *random_f32(size_t n, uint64_t seed)
{
    float *x = mem_raw(n, sizeof *x, NULL);

    assert_non_null(x);
    random_fill(x, n, seed);
    for (size_t i = 0; i < n; i++)
        x[i] = bf16_to_f32(f32_to_bf16(x[i]));
    return x;
}

/* |x_i y_i| <= 1/4 each; u = FLT_EPSILON / 2 */
static double sum_bound(size_t n)
{
    return (double)(n + 2) * (FLT_EPSILON / 2) * 0.25 * (double)n;
}

static void test_bad_arguments(void **state)
{
    struct err e = {0};
    float v[4] = {0};
    uint16_t h[4] = {0};

    (void)state;
    assert_int_equal(blas_product16(NULL, 2, 2, 2, h, 1, h, 2, v, 2, 0, &e), -1);
    assert_int_equal(blas_product16(NULL, 2, 2, 2, h, 2, h, 1, v, 2, 0, &e), -1);
    assert_int_equal(blas_product16(NULL, 2, 2, 0, h, 2, h, 2, v, 2, 0, &e), -1);
    assert_int_equal(blas_product16(NULL, 0, 2, 2, h, 2, h, 2, v, 2, 0, &e), 0);
    assert_int_equal(blas_slopes16(NULL, 0, 2, 2, h, 2, h, 2, v, 2, &e), -1);
    assert_int_equal(blas_slopes16(NULL, 2, 2, 2, h, 2, h, 2, v, 1, &e), -1);
    assert_int_equal(blas_narrow(NULL, 0, v, h, &e), 0);
}

/* What goes back, of bf16: Y += X W with W [K,N], and C = A' B, against the plain loops of the same
 * numbers turned over; the same bytes for any number of threads. */
static void back16_case(size_t T, size_t N, size_t K)
{
    const size_t ldx = K + 3, ldw = N + 1, ldy = N + 2;
    float *x = random_f32(T * ldx, 1), *w = random_f32(K * ldw, 2), *y = random_f32(T * ldy, 3),
          *b = random_f32(T * ldw, 4), *want = random_f32(T * ldy, 3),
          *turned = random_f32(N * K, 5), *at = random_f32(K * T, 6), *bt = random_f32(N * T, 7),
          *c = random_f32(K * N, 8), *sums = random_f32(K * N, 8),
          *first = mem_raw(T * ldy + K * N, sizeof *first, NULL);
    uint16_t *x16 = mem_raw(T * ldx, sizeof *x16, NULL), *w16 = mem_raw(K * ldw, sizeof *w16, NULL),
             *b16 = mem_raw(T * ldw, sizeof *b16, NULL);
    struct err e = {0};

    for (size_t k = 0; k < K; k++)
        for (size_t n = 0; n < N; n++)
            turned[n * K + k] = w[k * ldw + n];
    for (size_t t = 0; t < T; t++) {
        for (size_t k = 0; k < K; k++)
            at[k * T + t] = x[t * ldx + k];
        for (size_t n = 0; n < N; n++)
            bt[n * T + t] = b[t * ldw + n];
    }
    ref_linear(T, N, K, x, ldx, turned, K, want, ldy, 1);
    ref_linear(K, N, T, at, T, bt, T, sums, N, 0);
    for (size_t threads = 0; threads <= 3; threads++) {
        struct par *p = threads ? par_open(threads, &e) : NULL;

        free(y);
        y = random_f32(T * ldy, 3);
        assert_int_equal(blas_narrow(p, T * ldx, x, x16, &e), 0);
        assert_int_equal(blas_narrow(p, K * ldw, w, w16, &e), 0);
        assert_int_equal(blas_narrow(p, T * ldw, b, b16, &e), 0);
        assert_int_equal(blas_product16(p, T, N, K, x16, ldx, w16, ldw, y, ldy, 1, &e), 0);
        assert_int_equal(blas_slopes16(p, T, K, N, x16, ldx, b16, ldw, c, N, &e), 0);
        for (size_t i = 0; i < T * ldy; i++)
            assert_true(fabs((double)y[i] - (double)want[i]) <= sum_bound(K + 1));
        for (size_t i = 0; i < K * N; i++)
            assert_true(fabs((double)c[i] - (double)sums[i]) <= sum_bound(T));
        if (!threads) {
            memcpy(first, y, T * ldy * sizeof *y);
            memcpy(first + T * ldy, c, K * N * sizeof *c);
        }
        assert_memory_equal(first, y, T * ldy * sizeof *y);
        assert_memory_equal(first + T * ldy, c, K * N * sizeof *c);
        par_close(&p);
    }
    free(x);
    free(w);
    free(y);
    free(b);
    free(want);
    free(turned);
    free(at);
    free(bt);
    free(c);
    free(sums);
    free(first);
    free(x16);
    free(w16);
    free(b16);
}

static void back16_cases(void)
{
    back16_case(1, 1, 1);
    back16_case(37, 65, 40);
    back16_case(300, 130, 96);
    back16_case(257, 1601, 40); /* two tiles beside each other */
    back16_case(70, 33, 530);   /* more, of more rows */
}

static void test_products(void **state)
{
    (void)state;
    back16_cases();
}

/* A process that is told of a lesser CPU: the same numbers by products of f32. */
static void test_products_by_f32(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    assert_true((pid = fork()) >= 0);
    if (pid == 0) {
        execl("/proc/self/exe", "test_back16", "by-f32", (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

enum { ROWS = 150, INPUTS = 24, OUTPUTS = 40 };

/* dx [ROWS, INPUTS], and behind it dW [OUTPUTS, INPUTS]. */
static void linear_back(const float *x, const struct weights16 *w, float *dy, size_t threads,
                        float *dx)
{
    struct err err = {0};
    struct par *p = par_open(threads, &err);
    const struct op op = {.kind = &op_linear, .out = 1};
    struct op_back b = {.a = {.op = &op,
                              .par = p,
                              .products = &blas_products,
                              .narrow = w,
                              .in = {x},
                              .width = {INPUTS},
                              .width_out = OUTPUTS,
                              .count = ROWS},
                        .grad = dy,
                        .grad_in = {dx},
                        .grad_tensor = {dx + ROWS * INPUTS}};

    memset(dx, 0, ROWS * INPUTS * sizeof *dx);
    assert_int_equal(op_linear.back(&b, &err), 0);
    par_close(&p);
}

/* A sum of n products of two numbers, each rounded to bf16: each product is off by 2 u + u^2 of
 * itself, u = 2^-9, and the sum by n 2^-24 of all of them; exact: W keeps its rest of 2^-18. */
static void is_near(double got, double want, double all, size_t n, int exact)
{
    const double u = ldexp(1, -9), w = exact ? ldexp(1, -17) : u;

    assert_true(fabs(got - want) <= (u + w + u * w + (double)(2 * n) * ldexp(1, -24)) * all);
}

static void test_linear(void **state)
{
    enum { T = ROWS, K = INPUTS, N = OUTPUTS, ALL = T * K + N * K };
    static float x[T * K], w[N * K], dy[T * N], g[2][ALL];
    struct err err = {0};
    struct par *p = par_open(1, &err);

    (void)state;
    random_fill(x, T * K, 1);
    random_fill(w, N * K, 2);
    random_fill(dy, T * N, 3);
    for (int rest = 0; rest < 2; rest++) {
        struct weights16 h = {0};

        assert_int_equal(weights16_round(&h, p, N, K, rest, w, &err), 0);
        linear_back(x, &h, dy, 1, g[0]);
        linear_back(x, &h, dy, 3, g[1]);
        assert_memory_equal(g[0], g[1], sizeof g[0]);
        for (size_t i = 0; i < ALL; i++) {
            const size_t at = i < T * K ? i : i - T * K, n = i < T * K ? N : T;
            double want = 0, all = 0;

            for (size_t s = 0; s < n; s++) {
                const double one = i < T * K
                                       ? (double)dy[at / K * N + s] * (double)w[s * K + at % K]
                                       : (double)dy[s * N + at / K] * (double)x[s * K + at % K];

                want += one;
                all += fabs(one);
            }
            is_near((double)g[0][i], want, all, n, rest && i < T * K);
        }
        weights16_release(&h);
    }
    par_close(&p);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_products_by_f32),
        cmocka_unit_test(test_linear),
    };
    struct err e = {0};

    if (argc > 1 && strcmp(argv[1], "by-f32") == 0) {
        setenv("DNNL_MAX_CPU_ISA", "AVX2", 1);
        if (blas_start(&e) < 0 || blas_has_bf16())
            return 1;
        back16_cases();
        return 0;
    }
    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("back16", tests, NULL, NULL);
}
