/* SPDX-License-Identifier: Apache-2.0 */
/* test_blas - products against the plain loops, and the promise that threads change no bit.
 * Tolerance: a sum of n products of numbers below 1/2 in f32, in any order, errs by at most (n +
 * 1) u sum|x_i y_i|. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <float.h>
#include <gnu/libc-version.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../common/base/mem.h"
#include "../../common/base/rng.h"
#include "../../common/tensor/blas.h"
#include "../../common/base/library.h"
#include "../../common/tensor/dtype.h"

static float *random_f32(size_t n, uint64_t seed)
{
    struct rng r;
    float *x = mem_raw(n, sizeof *x, NULL);

    assert_non_null(x);
    rng_seed(&r, seed, 0);
    for (size_t i = 0; i < n; i++)
        x[i] = bf16_to_f32(f32_to_bf16((float)(rng_unit(&r) - 0.5)));
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
    float v[16] = {0};
    double d[4] = {1.0, 0.0, 0.0, -1.0};
    uint16_t h[4] = {0};

    (void)state;
    assert_int_equal(blas_linear(NULL, 2, 2, 2, v, 1, v, 2, v, 2, 0, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_int_equal(blas_linear(NULL, 2, 2, 0, v, 1, v, 2, v, 2, 0, &e), -1);
    assert_int_equal(blas_linear(NULL, (size_t)1 << 40, 2, 2, v, 2, v, 2, v, 2, 0, &e), -1);
    assert_int_equal(blas_linear(NULL, 0, 2, 2, v, 2, v, 2, v, 2, 0, &e), 0);
    assert_int_equal(blas_linear16(NULL, 2, 2, 2, h, v, 2, h, NULL, 2, v, 2, 0, &e), -1);
    assert_int_equal(blas_linear16(NULL, 2, 2, 2, NULL, NULL, 2, h, NULL, 2, v, 2, 0, &e), -1);
    assert_int_equal(blas_linear16(NULL, 2, 2, 2, h, NULL, 1, h, NULL, 2, v, 2, 0, &e), -1);
    assert_int_equal(blas_linear16(NULL, 2, 2, 2, h, NULL, 2, h, NULL, 1, v, 2, 0, &e), -1);
    assert_int_equal(blas_linear16(NULL, 2, 2, 0, h, NULL, 2, h, NULL, 2, v, 2, 0, &e), -1);
    assert_int_equal(blas_linear16(NULL, 0, 2, 2, h, NULL, 2, h, NULL, 2, v, 2, 0, &e), 0);
    assert_int_equal(blas_gram(NULL, 2, 2, h, v, 2, v, 2, &e), -1);
    assert_int_equal(blas_gram(NULL, 2, 2, NULL, NULL, 2, v, 2, &e), -1);
    assert_int_equal(blas_gram(NULL, 0, 2, NULL, v, 2, v, 2, &e), -1);
    assert_int_equal(blas_gram(NULL, 2, 2, NULL, v, 1, v, 2, &e), -1);
    assert_int_equal(blas_sgemm(0, 0, 2, 2, 2, 1, v, 1, v, 2, 0, v, 2, &e), -1);
    assert_int_equal(blas_cross(NULL, 2, 4, 4, v, 3, v, 4, v, 4, &e), -1);
    assert_int_equal(blas_dgemm(NULL, 0, 0, 2, 2, 2, 1, d, 1, d, 2, 0, d, 2, &e), -1);
}

static void linear_case(size_t T, size_t N, size_t K, int add)
{
    size_t ldx = K + 3, ldw = K + 1, ldy = N + 2;
    float *x = random_f32(T * ldx, 1), *w = random_f32(N * ldw, 2), *y = random_f32(T * ldy, 3),
          *first = NULL;
    float *want = random_f32(T * ldy, 3);
    struct err e = {0};

    ref_linear(T, N, K, x, ldx, w, ldw, want, ldy, add);
    for (size_t threads = 0; threads <= 3; threads++) {
        struct par *p = threads ? par_open(threads, &e) : NULL;

        free(y);
        y = random_f32(T * ldy, 3);
        assert_int_equal(blas_linear(p, T, N, K, x, ldx, w, ldw, y, ldy, add, &e), 0);
        for (size_t i = 0; i < T * ldy; i++)
            assert_true(fabs((double)y[i] - (double)want[i]) <= sum_bound(K + 1));
        if (first)
            assert_true(memcmp(first, y, T * ldy * sizeof *y) == 0);
        else {
            first = y;
            y = NULL;
        }
        par_close(&p);
    }
    free(x);
    free(w);
    free(y);
    free(first);
    free(want);
}

static void test_linear(void **state)
{
    (void)state;
    linear_case(1, 1, 1, 0);
    linear_case(37, 65, 40, 0);
    linear_case(300, 130, 96, 1);
    linear_case(257, 1100, 64, 0);
    linear_case(513, 1030, 33, 1);
    linear_case(515, 780, 1010, 0); /* tiles for many weights */
}

/* Rows of numbers below 1/2 that are not bf16, given as f32 or rounded before; weights with their
 * rest are sums of two such numbers. */
static void linear16_case(size_t T, size_t N, size_t K, int add, int rest, int wide)
{
    const size_t ldx = K + 3, ldw = K + 1, ldy = N + 2;
    float *x = random_f32(T * ldx, 1), *w = random_f32(N * ldw, 2), *want = random_f32(T * ldy, 3),
          *y = mem_raw(T * ldy, sizeof *y, NULL), *first = mem_raw(T * ldy, sizeof *y, NULL);
    uint16_t *x16 = mem_raw(T * ldx, sizeof *x16, NULL), *hi = mem_raw(N * ldw, sizeof *hi, NULL),
             *lo = mem_raw(N * ldw, sizeof *lo, NULL);
    struct err e = {0};

    for (size_t i = 0; i < T * ldx; i++) {
        x16[i] = f32_to_bf16(x[i]);
        x[i] += wide ? x[i] / 1024 : 0; /* rounds back to what it was */
        assert_int_equal(f32_to_bf16(x[i]), x16[i]);
    }
    for (size_t i = 0; i < N * ldw; i++) {
        const float left = w[(i * 7 + 1) % (N * ldw)] / 512;

        hi[i] = f32_to_bf16(w[i]);
        lo[i] = f32_to_bf16(left);
        w[i] += rest ? bf16_to_f32(lo[i]) : 0;
    }
    float *exact = mem_raw(T * ldx, sizeof *exact, NULL);

    for (size_t i = 0; i < T * ldx; i++)
        exact[i] = bf16_to_f32(x16[i]);
    ref_linear(T, N, K, exact, ldx, w, ldw, want, ldy, add);
    for (size_t threads = 0; threads <= 3; threads++) {
        struct par *p = threads ? par_open(threads, &e) : NULL;
        float *before = random_f32(T * ldy, 3);

        memcpy(y, before, T * ldy * sizeof *y);
        free(before);
        assert_int_equal(blas_linear16(p, T, N, K, wide ? NULL : x16, wide ? x : NULL, ldx, hi,
                                       rest ? lo : NULL, ldw, y, ldy, add, &e),
                         0);
        for (size_t i = 0; i < T * ldy; i++)
            assert_true(fabs((double)y[i] - (double)want[i]) <= sum_bound(2 * K + 1));
        if (!threads)
            memcpy(first, y, T * ldy * sizeof *y);
        assert_true(memcmp(first, y, T * ldy * sizeof *y) == 0);
        par_close(&p);
    }
    free(x);
    free(w);
    free(want);
    free(y);
    free(first);
    free(x16);
    free(hi);
    free(lo);
    free(exact);
}

static void linear16_cases(void)
{
    linear16_case(1, 1, 1, 0, 0, 0);
    linear16_case(37, 65, 40, 0, 1, 1);
    linear16_case(300, 130, 96, 1, 0, 1);
    linear16_case(257, 1600, 64, 0, 0, 0);
    linear16_case(300, 70, 33, 1, 1, 0);
    linear16_case(515, 780, 1010, 0, 0, 0); /* tiles for many weights */
}

static void test_linear16(void **state)
{
    (void)state;
    linear16_cases();
}

/* A process that is told of a lesser CPU: the same numbers by products of f32. */
static void test_linear16_by_f32(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    assert_true((pid = fork()) >= 0);
    if (pid == 0) {
        execl("/proc/self/exe", "test_blas", "by-f32", (char *)NULL);
        _exit(127);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void gram_case(size_t T, size_t K, int bf16)
{
    size_t ld = K + 5, lds = K + 1;
    float *x = random_f32(T * ld, 4), *s, *first = NULL;
    double *want = mem_raw(K * lds, sizeof *want, NULL);
    uint16_t *h = mem_raw(T * ld, sizeof *h, NULL);
    struct err e = {0};

    assert_non_null(want);
    assert_non_null(h);
    for (size_t i = 0; i < T * ld; i++)
        h[i] = f32_to_bf16(x[i]);
    ref_gram(T, K, x, ld, want, lds);
    for (size_t threads = 1; threads <= 3; threads++) {
        struct par *p = par_open(threads, &e);

        s = random_f32(K * lds, 5);
        assert_int_equal(blas_gram(p, T, K, bf16 ? h : NULL, bf16 ? NULL : x, ld, s, lds, &e), 0);
        for (size_t i = 0; i < K; i++)
            for (size_t j = 0; j <= i; j++)
                assert_true(fabs((double)s[i * lds + j] - want[i * lds + j]) <= sum_bound(T));
        if (first) {
            assert_true(memcmp(first, s, K * lds * sizeof *s) == 0);
            free(s);
        } else
            first = s;
        par_close(&p);
    }
    free(x);
    free(h);
    free(first);
    free(want);
}

static void test_gram(void **state)
{
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        gram_case(1, 1, bf16);
        gram_case(7, 96, bf16);
        gram_case(130, 97, bf16);
        gram_case(600, 300, bf16);
        gram_case(40, 225, bf16); /* a last panel of one whole piece and one row */
    }
}

struct panels {
    size_t K, seen[8];
    float *s;
};

static int keep_panel(void *ctx, size_t row, size_t rows, const float *panel, size_t ld,
                      struct err *e)
{
    struct panels *p = ctx;

    for (size_t i = 0; i < rows; i++)
        memcpy(p->s + (row + i) * p->K, panel + i * ld, (row + i + 1) * sizeof *panel);
    p->seen[row / BLAS_GRAM_ROWS] += rows;
    return row ? 0 : err_set(e, ERR_DATA, "the first one is bad");
}

/* All panels, each once, with the bytes of the whole; an error of who takes them is handed on. */
static void test_gram_by_panels(void **state)
{
    enum { T = 130, K = 300 };
    float *x = random_f32(T * K, 12), *s = random_f32(2 * K * K, 13);
    struct err e = {0};

    (void)state;
    assert_int_equal(blas_gram_each(NULL, 0, K, NULL, x, K, keep_panel, NULL, &e), -1);
    assert_int_equal(blas_gram_each(NULL, T, K, NULL, NULL, K, keep_panel, NULL, &e), -1);
    assert_int_equal(blas_gram_each(NULL, T, K, NULL, x, K - 1, keep_panel, NULL, &e), -1);
    assert_int_equal(blas_gram(NULL, T, K, NULL, x, K, s, K, &e), 0);
    for (size_t threads = 1; threads <= 3; threads++) {
        struct panels got = {.K = K, .s = s + K * K};
        struct par *p = par_open(threads, &e);

        e.kind = ERR_NONE;
        assert_int_equal(blas_gram_each(p, T, K, NULL, x, K, keep_panel, &got, &e), -1);
        assert_int_equal(e.kind, ERR_DATA);
        for (size_t i = 0; i < 4; i++)
            assert_int_equal(got.seen[i], i < 3 ? BLAS_GRAM_ROWS : K - 3 * BLAS_GRAM_ROWS);
        for (size_t i = 0; i < K; i++)
            assert_memory_equal(s + i * K, got.s + i * K, (i + 1) * sizeof *s);
        par_close(&p);
    }
    free(x);
    free(s);
}

/* Where rows lie changes no bit, whichever distance is the faster one. */
static void test_row_distance(void **state)
{
    enum { T = 300, K = 256 };
    const size_t ld = blas_row(K);
    float *x = random_f32(T * K, 9), *apart = random_f32(T * ld, 10);
    float *s = random_f32(2 * K * K, 11), *d = s + K * K;
    struct err e = {0};

    (void)state;
    for (size_t n = 0; n < 300; n++) {
        assert_in_range(blas_row(n), n, n + 31);
        assert_int_equal(blas_row(n) % 32, 16);
    }
    for (size_t t = 0; t < T; t++)
        memcpy(apart + t * ld, x + t * K, K * sizeof *x);
    assert_int_equal(blas_gram(NULL, T, K, NULL, x, K, s, K, &e), 0);
    assert_int_equal(blas_gram(NULL, T, K, NULL, apart, ld, d, K, &e), 0);
    for (size_t i = 0; i < K; i++)
        assert_memory_equal(s + i * K, d + i * K, (i + 1) * sizeof *s);
    assert_int_equal(blas_cross(NULL, T, K, K, x, K, x, K, s, K, &e), 0);
    assert_int_equal(blas_cross(NULL, T, K, K, apart, ld, apart, ld, d, K, &e), 0);
    assert_memory_equal(s, d, K * K * sizeof *s);
    free(x);
    free(apart);
    free(s);
}

static void test_cross_and_sgemm(void **state)
{
    enum { T = 70, M = 300, N = 261 };
    float *a = random_f32(T * M, 6), *b = random_f32(T * N, 7), *c = random_f32(M * N, 8),
          *d = random_f32(M * N, 8);
    float *at = random_f32(T * M, 6), *bt = random_f32(T * N, 6), *want = random_f32(M * N, 8);
    struct err e = {0};
    struct par *p = par_open(2, &e);

    (void)state;
    for (size_t t = 0; t < T; t++) {
        for (size_t m = 0; m < M; m++)
            at[m * T + t] = a[t * M + m];
        for (size_t n = 0; n < N; n++)
            bt[n * T + t] = b[t * N + n];
    }
    ref_linear(M, N, T, at, T, bt, T, want, N, 0);
    assert_int_equal(blas_cross(p, T, M, N, a, M, b, N, c, N, &e), 0);
    for (size_t i = 0; i < M * N; i++)
        assert_true(fabs((double)c[i] - (double)want[i]) <= sum_bound(T));
    for (int form = 0; form < 4; form++) {
        int ta = form & 1, tb = form >> 1;

        memcpy(c, d, M * N * sizeof *c);
        assert_int_equal(blas_sgemm(ta, tb, M, N, T, 0.5f, ta ? a : at, ta ? M : T, tb ? bt : b,
                                    tb ? T : N, 2.0f, c, N, &e),
                         0);
        for (size_t i = 0; i < M * N; i++)
            assert_true(fabs((double)c[i] - (0.5 * (double)want[i] + 2.0 * (double)d[i])) <=
                        sum_bound(T + 4));
    }
    par_close(&p);
    free(a);
    free(b);
    free(c);
    free(d);
    free(at);
    free(bt);
    free(want);
}

/* Many shapes from many threads: kernels are built, used and dropped while others use theirs. */
static int busy_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const float *x = ctx;
    size_t n = i % 700 + 1;
    float *y = mem_raw(n, sizeof *y, e), want[2];

    (void)worker;
    if (!y || blas_linear(NULL, 1, n, 3, x, 3, x, 3, y, n, 0, e) < 0)
        return -1;
    ref_linear(1, 2, 3, x, 3, x, 3, want, 2, 0);
    if (fabsf(y[0] - want[0]) > 1e-6f || (n > 1 && fabsf(y[1] - want[1]) > 1e-6f)) {
        free(y);
        return err_set(e, ERR_DATA, "shape %zu is wrong", n);
    }
    free(y);
    return 0;
}

static void test_many_shapes(void **state)
{
    float *x = random_f32(3 * 701, 10);
    struct err e = {0};
    struct par *p = par_open(3, &e);

    (void)state;
    if (par_for(p, 1500, busy_tile, x, &e) < 0)
        fail_msg("%s", e.text);
    par_close(&p);
    free(x);
}

static void test_kernel_text(void **state)
{
    (void)state;
    assert_true(memcmp(blas_kernel(), "openblas/", 9) == 0);
}

/* In a process of its own, since a limit on what is there already stays. */
static int room_under(size_t more)
{
    struct rlimit limit = {.rlim_cur = more, .rlim_max = more};
    struct err e = {0};
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        if (setrlimit(RLIMIT_AS, &limit) < 0 || blas_room(1, 1, &e) == 0)
            _exit(0);
        _exit(strstr(e.text, "ulimit -v") && strstr(e.text, "has room for 0 of the 1 buffers")
                  ? (int)e.kind
                  : 1);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                           : -1;
}

static void test_room(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(blas_room(3, 1, &e), 0);
    assert_int_equal(room_under(BLAS_BUFFER), ERR_SYS);
#ifndef __SANITIZE_ADDRESS__ /* which reserves more than any limit */
    assert_int_equal(room_under((size_t)1 << 40), 0);
#endif
}

static void test_load(void **state)
{
    const char *(*found)(void) = NULL;
    void (*extra)(void) = NULL;
    struct err e = {0};

    (void)state;
    assert_int_equal(library_load("libnone.so.7", NULL, 0, &e), -1);
    assert_int_equal(e.kind, ERR_SYS);
    assert_non_null(strstr(e.text, "libnone.so.7"));
    e = (struct err){0};
    assert_int_equal(
        library_load("libc.so.6",
                     (const struct library_symbol[]){{"gnu_get_libc_version", &found, 0},
                                                     {"no_such_function", &extra, 0}},
                     2, &e),
        -1);
    assert_non_null(strstr(e.text, "libc.so.6 has no function 'no_such_function'"));
    e = (struct err){0};
    assert_int_equal(
        library_load("libc.so.6",
                     (const struct library_symbol[]){{"gnu_get_libc_version", &found, 0},
                                                     {"no_such_function", &extra, 1}},
                     2, &e),
        0);
    assert_string_equal(found(), gnu_get_libc_version());
    assert_null(extra);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_linear16),
        cmocka_unit_test(test_linear16_by_f32),
        cmocka_unit_test(test_gram),
        cmocka_unit_test(test_gram_by_panels),
        cmocka_unit_test(test_row_distance),
        cmocka_unit_test(test_cross_and_sgemm),
        cmocka_unit_test(test_many_shapes),
        cmocka_unit_test(test_kernel_text),
        cmocka_unit_test(test_room),
    };
    struct err e = {0};

    if (argc > 1 && strcmp(argv[1], "by-f32") == 0) {
        setenv("DNNL_MAX_CPU_ISA", "AVX2", 1);
        if (blas_start(&e) < 0 || blas_has_bf16())
            return 1;
        linear16_cases();
        return 0;
    }
    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("blas", tests, NULL, NULL);
}
