/* SPDX-License-Identifier: Apache-2.0 */
/* Solvers that look at more than H: identities that hold for any problem, and the parts they are
 * made of against plain loops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>
#include "../../common/base/rng.h"
#include "../../common/tensor/blas.h"
#include "../../stages/solve/solve_damp.h"
#include "../../stages/solve/solve_factor.h"
#include "../../stages/solve/solve_grid.h"
#include "../../stages/solve/solve_order.h"
#include "solver_run.h"
#include "uneven_site.h"

extern const struct grid grid_asym;

enum { N = 70, K = 192, T = 700 };

static float W[N * K];
static double x[T * K], H[K * K], D[K * K], zero[K * K];

/* Correlated inputs with uneven channels, and a drift that depends on them. */
static int make_site(void **ctx)
{
    (void)ctx;
    uneven_site(11, N, K, T, W, x);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < K; j++)
            for (size_t t = 0; t < T; t++) {
                const double drift = 0.1 * x[t * K + i] + 0.05 * x[t * K + (i + 5) % K];
                H[i * K + j] += x[t * K + i] * x[t * K + j] / T;
                D[i * K + j] += drift * x[t * K + j] / T;
            }
    return 0;
}

static struct solve_opts opts(const char *solver, int bits, int64_t group)
{
    struct solve_opts o = solve_opts_default();

    o.solver = solver;
    o.bits = bits;
    o.group = group;
    return o;
}

static void run(const struct solve_opts *o, const double *h, const double *d, size_t threads,
                struct result *out)
{
    struct err e = {0};

    if (solve_drift(o, N, K, DT_F32, W, h, d, threads, out, &e))
        fail_msg("%s: %s", o->solver, e.text);
}

static void same(const struct solve_opts *o, const struct result *a, const struct result *b)
{
    const size_t G = grid_groups(K, o->group);

    if (memcmp(a->codes, b->codes, (size_t)N * K) || memcmp(a->zeros, b->zeros, N * G) ||
        memcmp(a->scales, b->scales, N * G * sizeof(double)))
        fail_msg("%s: not the same", o->solver);
}

/* Everything that takes D, and the rest of the new ones, at settings that differ. */
static size_t cases(struct solve_opts *o)
{
    static const char *const name[] = {"gptaq",     "rescomp", "foem",    "qronos",  "qep",
                                       "qep+gptaq", "ojbkq",   "qep+rtn", "qep+foem"};
    size_t n = 0;

    for (size_t i = 0; i < sizeof name / sizeof name[0]; i++) {
        o[n++] = opts(name[i], 3, 64);
        o[n] = opts(name[i], 2, 48);
        o[n].grid = &grid_asym;
        o[n].refine = 2;
        n++;
    }
    for (size_t p = P_PRE; p <= P_Q; p++) {
        o[n] = opts("gptaq", 4, 32);
        o[n].groups = GROUPS_DYNAMIC;
        o[n].order = ORDER_PIVOT;
        o[n++].p_source = (enum p_source)p;
    }
    return n;
}

#define CASES 24

static void test_no_drift_is_gptq(void **ctx)
{
    (void)ctx;
    for (int bits = 2; bits <= 4; bits++)
        for (enum p_source p = P_AUTO; p <= P_Q; p++) {
            struct solve_opts o = opts("gptq", bits, 32);
            struct result gptq, a, b;

            o.grid = bits == 3 ? &grid_asym : &grid_sym;
            o.groups = bits == 4 ? GROUPS_DYNAMIC : GROUPS_STATIC;
            run(&o, H, D, 1, &gptq);
            o.solver = "gptaq";
            o.p_source = p;
            run(&o, H, zero, 1, &a);
            same(&o, &gptq, &a);
            o.alpha = 0.0;
            run(&o, H, D, 1, &b);
            same(&o, &gptq, &b);
            result_release(&a);
            result_release(&b);
            o.alpha = 0.25;
            run(&o, H, D, 1, &a);
            assert_memory_not_equal(gptq.codes, a.codes, (size_t)N * K);
            result_release(&a);
            result_release(&gptq);
        }
}

static void test_scale_of_sums(void **ctx)
{
    static double h[K * K], d[K * K];
    struct solve_opts list[CASES];
    const size_t n = cases(list);

    (void)ctx;
    for (size_t i = 0; i < (size_t)K * K; i++) {
        h[i] = H[i] * 0x1p30;
        d[i] = D[i] * 0x1p30;
    }
    for (size_t i = 0; i < n; i++) {
        struct result a, b;

        run(&list[i], H, D, 1, &a);
        run(&list[i], h, d, 1, &b);
        same(&list[i], &a, &b);
        result_release(&a);
        result_release(&b);
    }
}

static void test_block_size(void **ctx)
{
    static const size_t block[] = {1, 7, 64, 5000};
    struct solve_opts list[CASES];
    const size_t n = cases(list);

    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        struct result a, b;

        if (list[i].refine) /* a refined scale may round to the other neighbour of its type */
            list[i].refine = 0;
        run(&list[i], H, D, 1, &a);
        for (size_t k = 0; k < sizeof block / sizeof block[0]; k++) {
            list[i].block = block[k];
            run(&list[i], H, D, 1, &b);
            same(&list[i], &a, &b);
            result_release(&b);
        }
        result_release(&a);
    }
}

static void test_threads(void **ctx)
{
    struct solve_opts list[CASES];
    const size_t n = cases(list);

    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        struct result a, b;

        run(&list[i], H, D, 1, &a);
        run(&list[i], H, D, 3, &b);
        same(&list[i], &a, &b);
        result_release(&a);
        result_release(&b);
    }
}

/* ---- parts ---- */

static struct factor *factor(const struct solve_opts *o, struct par **p)
{
    struct solve_stats st = {.fallback = NULL};
    struct err e = {0};
    struct factor *f;

    *p = par_open(2, &e);
    f = factor_open(o, K, H, *p, &st, &e);
    assert_non_null(f);
    return f;
}

static double mean_diagonal(void)
{
    double mean = 0.0;

    for (size_t k = 0; k < K; k++)
        mean += H[k * K + k] / K;
    return mean;
}

/* The damped H in processing order. */
static double damped(const struct factor *f, const struct solve_opts *o, size_t i, size_t j)
{
    return H[f->order[i] * K + f->order[j]] + (i == j ? o->damp * mean_diagonal() : 0.0);
}

/* Row q of P times H[q+1:,q+1:] is alpha D[q,q+1:]. */
static void test_rows_of_p(void **ctx)
{
    const struct solve_opts o = opts("gptaq", 4, 64);
    struct par *p;
    struct factor *f = factor(&o, &p);
    struct err e = {0};
    double *P = factor_term(f, D, NULL, 0.25, p, &e), *both = factor_term(f, D, H, 1.0, p, &e);

    (void)ctx;
    assert_non_null(P);
    assert_non_null(both);
    for (size_t q = 0; q < K; q++) {
        for (size_t j = 0; j <= q; j++)
            assert_true(fpclassify(P[q * K + j]) == FP_ZERO);
        for (size_t j = q + 1; j < K; j++) {
            const size_t cell = f->order[q] * K + f->order[j];
            double sum = 0.0, sum2 = 0.0;
            for (size_t k = q + 1; k < K; k++) {
                sum += P[q * K + k] * damped(f, &o, k, j);
                sum2 += both[q * K + k] * damped(f, &o, k, j);
            }
            assert_true(fabs(sum - 0.25 * D[cell]) < 1e-10 * fabs(H[0]));
            assert_true(fabs(sum2 - D[cell] - H[cell]) < 1e-10 * fabs(H[0]));
        }
    }
    free(P);
    free(both);
    factor_close(&f);
    par_close(&p);
}

/* x A = b for a symmetric A [n,n], by elimination with row exchanges; A and b are used up, b
 * becomes x. */
static void solve_plain(double *A, double *b, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        size_t pivot = k;
        for (size_t i = k + 1; i < n; i++)
            if (fabs(A[i * n + k]) > fabs(A[pivot * n + k]))
                pivot = i;
        for (size_t j = k; j < n; j++) {
            const double v = A[k * n + j];
            A[k * n + j] = A[pivot * n + j];
            A[pivot * n + j] = v;
        }
        const double v = b[k];
        b[k] = b[pivot];
        b[pivot] = v;
        for (size_t i = k + 1; i < n; i++) {
            const double m = A[i * n + k] / A[k * n + k];
            for (size_t j = k; j < n; j++)
                A[i * n + j] -= m * A[k * n + j];
            b[i] -= m * b[k];
        }
    }
    for (size_t k = n; k-- > 0;) {
        for (size_t j = k + 1; j < n; j++)
            b[k] -= A[k * n + j] * b[j];
        b[k] /= A[k * n + k];
    }
}

/* Row q of P is alpha D[q,q+1:] inv(H[q+1:,q+1:]), every row solved by itself without U. */
static void test_rows_of_p_solved(void **ctx)
{
    static double A[K * K], b[K];
    const struct solve_opts o = opts("gptaq", 4, 64);
    /* the eigenvalues lie between damp mean and (1 + damp) K mean, mean that of the diagonal */
    const double condition = K * (1.0 + o.damp) / o.damp, mean = mean_diagonal();
    struct par *p;
    struct factor *f = factor(&o, &p);
    struct err e = {0};
    double *P = factor_term(f, D, NULL, 0.25, p, &e);

    (void)ctx;
    assert_non_null(P);
    for (size_t q = 0; q + 1 < K; q++) {
        const size_t n = K - q - 1;
        double size = 0.0;
        for (size_t i = 0; i < n; i++) {
            b[i] = 0.25 * D[f->order[q] * K + f->order[q + 1 + i]];
            for (size_t j = 0; j < n; j++)
                A[i * n + j] = H[f->order[q + 1 + i] * K + f->order[q + 1 + j]] +
                               (i == j ? o.damp * mean : 0.0);
        }
        solve_plain(A, b, n);
        for (size_t i = 0; i < n; i++)
            size = fmax(size, fabs(b[i]));
        /* both are backward stable: n rounding errors each, times the condition */
        for (size_t i = 0; i < n; i++)
            assert_true(fabs(P[q * K + q + 1 + i] - b[i]) <=
                        2.0 * K * DBL_EPSILON * condition * size);
    }
    free(P);
    factor_close(&f);
    par_close(&p);
}

/* (W* - W)(H + lambda I) = alpha W D. */
static void test_shift(void **ctx)
{
    const struct solve_opts o = opts("qep", 4, 64);
    struct par *p;
    struct factor *f = factor(&o, &p);
    struct solve_job j = {.name = "w", .N = N, .K = K, .w_type = DT_F32, .W = W, .H = H, .D = D};
    double *out = malloc((size_t)N * K * sizeof *out);
    struct err e = {0};

    (void)ctx;
    assert_int_equal(factor_shift(f, &j, 0.5, 0, out, p, &e), 0);
    for (size_t n = 0; n < N; n++)
        for (size_t c = 0; c < K; c++) {
            double left = 0.0, right = 0.0;
            for (size_t k = 0; k < K; k++) {
                const size_t at = n * K + f->order[k];
                left += (out[at] - (double)W[at]) * damped(f, &o, k, c);
                right += 0.5 * (double)W[at] * D[f->order[k] * K + f->order[c]];
            }
            assert_true(fabs(left - right) < 1e-10 * H[0]);
        }
    free(out);
    factor_close(&f);
    par_close(&p);
}

/* The greedy order by plain elimination. */
static void test_pivot_order(void **ctx)
{
    struct solve_opts o = opts("gptq", 4, 64);
    struct par *p;
    struct factor *f;
    double *A = malloc(sizeof H), mean = 0.0;
    uint8_t taken[K] = {0};

    (void)ctx;
    o.order = ORDER_PIVOT;
    f = factor(&o, &p);
    memcpy(A, H, sizeof H);
    for (size_t k = 0; k < K; k++)
        mean += H[k * K + k] / K;
    for (size_t k = 0; k < K; k++)
        A[k * K + k] += o.damp * mean;
    for (size_t i = K; i-- > 0;) {
        size_t c = K;
        for (size_t k = 0; k < K; k++)
            if (!taken[k] && (c == K || A[k * K + k] < A[c * K + c]))
                c = k;
        assert_int_equal(f->order[i], c);
        taken[c] = 1;
        for (size_t a = 0; a < K; a++)
            for (size_t b = 0; !taken[a] && b < K; b++)
                if (!taken[b])
                    A[a * K + b] -= A[a * K + c] * A[c * K + b] / A[c * K + c];
    }
    free(A);
    factor_close(&f);
    par_close(&p);
}

/* ---- fits, refinement, random rounding, bound ---- */

/* The loss that a sweep minimises: H with damping. */
static double *damped_h(const struct solve_opts *o)
{
    double *h = malloc(sizeof H), *diag = malloc(K * sizeof *diag);
    uint8_t dead[K];

    memcpy(h, H, sizeof H);
    damp_diag(o, K, H, diag, dead);
    for (size_t k = 0; k < K; k++)
        h[k * K + k] = diag[k];
    free(diag);
    return h;
}

static void test_refine_never_loses(void **ctx)
{
    static const char *const name[] = {"gptq", "rtn", "gptaq"};

    (void)ctx;
    for (size_t i = 0; i < 3; i++)
        for (int bits = 2; bits <= 4; bits++) {
            struct solve_opts o = opts(name[i], bits, 32);
            double *h = damped_h(&o), gain = 0.0;
            struct result before, after;

            o.refine_alpha = 0.0;
            run(&o, H, D, 1, &before);
            o.refine = 3;
            run(&o, H, D, 1, &after);
            assert_memory_equal(before.codes, after.codes, (size_t)N * K);
            for (size_t n = 0; n < N; n++) {
                const double a = row_loss(&o, K, W, h, &before, n),
                             b = row_loss(&o, K, W, h, &after, n);
                assert_true(b <= a * (1.0 + 1e-12));
                gain += (a - b) / a / N;
            }
            assert_true(gain > 0.0);
            result_release(&before);
            result_release(&after);
            free(h);
        }
}

static void test_random_rounding(void **ctx)
{
    struct solve_opts o = opts("gptq", 3, 64);
    double *h = damped_h(&o);
    struct result plain, random, again;
    size_t better = 0;

    (void)ctx;
    run(&o, H, NULL, 1, &plain);
    o.solver = "ojbkq";
    o.tries = 40;
    run(&o, H, NULL, 1, &random);
    for (size_t n = 0; n < N; n++) {
        const double a = row_loss(&o, K, W, h, &plain, n), b = row_loss(&o, K, W, h, &random, n);
        assert_true(b <= a * (1.0 + 1e-9));
        better += b < a * (1.0 - 1e-9);
    }
    assert_true(better > N / 4);
    o.seed = 1000;
    run(&o, H, NULL, 1, &again);
    assert_memory_not_equal(random.codes, again.codes, (size_t)N * K);
    result_release(&plain);
    result_release(&random);
    result_release(&again);
    free(h);
}

static void test_bound(void **ctx)
{
    struct solve_opts o = opts("gptq", 8, -1);
    double *h = damped_h(&o), want = 0.0;
    struct result r;

    (void)ctx;
    o.grid = &grid_asym;
    run(&o, H, NULL, 1, &r);
    assert_true(total_loss(&o, N, K, W, h, &r) <= r.bound);
    assert_true(total_loss(&o, N, K, W, h, &r) > 0.1 * r.bound); /* a third on average */
    result_release(&r);
    memset(h, 0, sizeof H);
    for (size_t k = 0; k < K; k++)
        h[k * K + k] = 4.0;
    o.damp = 0.0;
    run(&o, h, NULL, 1, &r);
    for (size_t n = 0; n < N; n++)
        want += r.scales[n] * r.scales[n] * K;
    assert_true(fabs(r.bound - want) < 1e-9 * want);
    result_release(&r);
    o.solver = "rtn";
    run(&o, h, NULL, 1, &r);
    assert_true(isnan(r.bound));
    result_release(&r);
    free(h);
}

/* sum h (q - w)^2 of one row on one grid; one that is no better than `best` is not finished */
static double weighted(const double *w, const double *h, size_t n, double s, double z, double top,
                       double best)
{
    double sum = 0.0;

    for (size_t k = 0; k < n && sum < best; k++) {
        const double c = fmin(fmax(nearbyint(w[k] / s) + z, 0.0), top);
        sum += h[k] * (s * (c - z) - w[k]) * (s * (c - z) - w[k]);
    }
    return sum;
}

/* The coarse to fine search comes near the best of all 2048 scales and all zero points. */
static void test_neuqi(void **ctx)
{
    enum { n = 48 };
    static double cells[n * SOLVE_TILE], s[SOLVE_TILE], z[SOLVE_TILE];
    double diag[n], w[n], worst = 0.0, mean = 0.0;
    struct err e = {0};
    struct rng r;

    (void)ctx;
    rng_seed(&r, 3, 0);
    for (size_t k = 0; k < n; k++)
        diag[k] = exp(rng_normal(&r));
    for (size_t i = 0; i < (size_t)n * SOLVE_TILE; i++)
        cells[i] = rng_normal(&r) + 0.3;
    for (int bits = 2; bits <= 4; bits++) {
        struct solve_opts o = opts("rtn", bits, n);
        struct solve_job j = {.name = "w", .N = SOLVE_TILE, .K = n, .H = H, .diag = diag};
        const double top = (double)((1 << o.bits) - 1);

        o.grid = &grid_asym;
        o.fit = FIT_NEUQI;
        o.scale_type = DT_F64;
        assert_int_equal(solve_grid_fit(&o, &j, 0, 0, cells, n, s, z, &e), 0);
        for (size_t row = 0; row < SOLVE_TILE; row++) {
            double lo = 0.0, hi = 0.0, best = INFINITY, have;
            for (size_t k = 0; k < n; k++) {
                w[k] = cells[k * SOLVE_TILE + row];
                lo = fmin(lo, w[k]);
                hi = fmax(hi, w[k]);
            }
            for (int i = 1; i <= 2048; i++)
                for (double zero_point = 1.0; zero_point <= top; zero_point++)
                    best = fmin(best, weighted(w, diag, n, (hi - lo) / top * i / 2048.0, zero_point,
                                               top, best));
            have = weighted(w, diag, n, s[row], z[row], top, INFINITY);
            worst = fmax(worst, have / best);
            mean += have / best / (3.0 * SOLVE_TILE);
        }
    }
    print_message("neuqi over exhaustive search: mean %.4f, worst %.4f\n", mean, worst);
    assert_true(mean < 1.005);
    assert_true(worst < 1.02);
}

static void test_hessian_fit(void **ctx)
{
    (void)ctx;
    for (int bits = 2; bits <= 4; bits++) {
        struct solve_opts o = opts("rtn", bits, -1);
        double *h = damped_h(&o);
        struct result minmax, mse, hessian;

        run(&o, H, NULL, 1, &minmax);
        o.fit = FIT_MSE;
        run(&o, H, NULL, 1, &mse);
        o.fit = FIT_HESSIAN;
        run(&o, H, NULL, 1, &hessian);
        for (size_t n = 0; n < N; n++) { /* the steps of mse are among those of hessian */
            const double loss = row_loss(&o, K, W, h, &hessian, n);
            assert_true(loss <= row_loss(&o, K, W, h, &minmax, n) * (1.0 + 1e-9));
            assert_true(loss <= row_loss(&o, K, W, h, &mse, n) * (1.0 + 1e-9));
        }
        result_release(&minmax);
        result_release(&mse);
        result_release(&hessian);
        free(h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_drift_is_gptq),
        cmocka_unit_test(test_scale_of_sums),
        cmocka_unit_test(test_block_size),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_rows_of_p),
        cmocka_unit_test(test_rows_of_p_solved),
        cmocka_unit_test(test_shift),
        cmocka_unit_test(test_pivot_order),
        cmocka_unit_test(test_refine_never_loses),
        cmocka_unit_test(test_random_rounding),
        cmocka_unit_test(test_bound),
        cmocka_unit_test(test_neuqi),
        cmocka_unit_test(test_hessian_fit),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("solve_target", tests, make_site, NULL);
}
