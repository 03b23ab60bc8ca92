/* SPDX-License-Identifier: Apache-2.0 */
/* Identities that hold for any problem, the damping ladder, dead columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <string.h>
#include "../../common/base/rng.h"
#include "../../common/tensor/blas.h"
#include "../../stages/solve/solve_expand.h"
#include "../../stages/solve/solve_band.h"
#include "../../stages/solve/solve_grid.h"
#include "../../stages/solve/solve_loss.h"
#include "solver_run.h"
#include "uneven_site.h"

extern const struct grid grid_sym_narrow, grid_asym;

/* ---- identities ---- */

/* A made-up site: correlated inputs with very uneven channels, T rows, so that H has rank min(T,
 * K). */
struct site {
    size_t N, K;
    float *W;
    double *H;
};

static void site_init(struct site *s, size_t N, size_t K, size_t T, uint64_t seed)
{
    double *x = mem_raw(T * K, sizeof *x, NULL);

    *s = (struct site){N, K, mem_raw(N * K, sizeof(float), NULL),
                       mem_array(K * K, sizeof(double), NULL)};
    uneven_site(seed, N, K, T, s->W, x);
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j < K; j++) {
            double sum = 0.0;
            for (size_t t = 0; t < T; t++)
                sum += x[t * K + i] * x[t * K + j];
            s->H[i * K + j] = sum / (double)T;
        }
    free(x);
}

static void site_release(struct site *s)
{
    free(s->W);
    free(s->H);
}

static void same(const struct site *s, size_t G, const struct result *a, const struct result *b)
{
    assert_memory_equal(a->codes, b->codes, s->N * s->K);
    assert_memory_equal(a->zeros, b->zeros, s->N * G);
    assert_memory_equal(a->scales, b->scales, s->N * G * sizeof(double));
}

#define VARIANT(b, gr, gd, ft, ord, grp, dmp, dd, st, zmin)                                       \
    {                                                                                             \
        .solver = "gptq", .bits = b, .group = gr, .grid = gd, .fit = ft, .order = ord,            \
        .groups = grp, .damp = dmp, .dead = dd, .scale_type = st, .block = 128, .zero_min = zmin, \
        .alpha = 0.25, .alpha2 = 0.25, .beta = 0.2, .pull = 128, .qep_alpha = 0.5, .tries = 3,    \
        .seed = 1, .refine_alpha = 0.25                                                           \
    }
static const struct solve_opts variants[] = {
    VARIANT(4, 32, &grid_sym, FIT_MINMAX, ORDER_ACT, GROUPS_STATIC, 0.01, DEAD_KEEP, DT_F16, 1),
    VARIANT(3, 32, &grid_asym, FIT_MSE, ORDER_GROUP, GROUPS_DYNAMIC, 0.01, DEAD_KEEP, DT_F16, 1),
    VARIANT(3, 48, &grid_asym, FIT_MINMAX, ORDER_ACT, GROUPS_DYNAMIC, 0.01, DEAD_ZERO, DT_BF16, 1),
    VARIANT(2, -1, &grid_sym_narrow, FIT_MINMAX, ORDER_NONE, GROUPS_STATIC, 0.05, DEAD_KEEP, DT_F32,
            1),
    VARIANT(8, 96, &grid_sym, FIT_MINMAX, ORDER_NONE, GROUPS_DYNAMIC, 0.01, DEAD_KEEP, DT_F64, 0),
    VARIANT(3, 64, &grid_asym, FIT_NEUQI, ORDER_PIVOT, GROUPS_STATIC, 0.01, DEAD_KEEP, DT_F16, 1),
    VARIANT(2, 64, &grid_sym, FIT_HESSIAN, ORDER_PIVOT, GROUPS_DYNAMIC, 0.01, DEAD_KEEP, DT_F16, 1),
};
#define VARIANTS (sizeof variants / sizeof variants[0])

static void test_block_size(void **ctx)
{
    static const size_t block[] = {1, 2, 7, 32, 128, 192, 5000};
    struct site s;

    (void)ctx;
    site_init(&s, 70, 192, 800, 1);
    for (size_t v = 0; v < VARIANTS; v++) {
        struct result first, other;
        struct solve_opts o = variants[v];

        solve_ok(&o, s.N, s.K, s.W, s.H, &first);
        for (size_t i = 0; i < sizeof block / sizeof block[0]; i++) {
            o.block = block[i];
            solve_ok(&o, s.N, s.K, s.W, s.H, &other);
            assert_memory_equal(first.codes, other.codes, s.N * s.K);
            assert_memory_equal(first.zeros, other.zeros, s.N * grid_groups(s.K, o.group));
            result_release(&other);
        }
        result_release(&first);
    }
    site_release(&s);
}

static void test_threads(void **ctx)
{
    struct site s;

    (void)ctx;
    site_init(&s, 200, 192, 800, 2);
    for (size_t v = 0; v < VARIANTS; v++) {
        struct result first, other;

        solve_ok(&variants[v], s.N, s.K, s.W, s.H, &first);
        for (size_t threads = 2; threads <= 4; threads++) {
            struct err e = {0};
            assert_int_equal(
                solve_threads(&variants[v], s.N, s.K, DT_F32, s.W, s.H, threads, &other, &e), 0);
            same(&s, grid_groups(s.K, variants[v].group), &first, &other);
            result_release(&other);
        }
        result_release(&first);
    }
    site_release(&s);
}

/* Codes, scales and loss of one of the variants. */
static void solve_and_measure(const struct solve_opts *o, const struct site *s, const double *H,
                              struct result *r, struct solve_loss *loss)
{
    struct err e = {0};
    struct par *p = par_open(1, &e);
    struct solve_job j = {.N = s->N,
                          .K = s->K,
                          .G = grid_groups(s->K, o->group),
                          .w_type = DT_F32,
                          .W = s->W,
                          .H = H};

    solve_ok(o, s->N, s->K, s->W, H, r);
    j.codes = r->codes;
    j.zeros = r->zeros;
    j.scales = r->scales;
    assert_int_equal(solve_loss(o, &j, p, loss, &e), 0);
    par_close(&p);
}

/* Where solver_half says so nobody looks above the diagonal of H, beyond the blocks on it. */
static void test_half_of_h(void **ctx)
{
    size_t halves = 0;
    struct site s;
    double *H;

    (void)ctx;
    site_init(&s, 70, 192, 800, 1);
    H = mem_raw(s.K * s.K, sizeof *H, NULL);
    for (size_t i = 0; i < s.K; i++)
        for (size_t k = 0; k < s.K; k++)
            H[i * s.K + k] = k / EXPAND_BLOCK > i / EXPAND_BLOCK ? (double)NAN : s.H[i * s.K + k];
    for (size_t v = 0; v < VARIANTS; v++) {
        struct result whole, half;
        struct solve_loss a, b;

        if (!solver_half(&variants[v], "gptq"))
            continue;
        halves++;
        solve_and_measure(&variants[v], &s, s.H, &whole, &a);
        solve_and_measure(&variants[v], &s, H, &half, &b);
        same(&s, grid_groups(s.K, variants[v].group), &whole, &half);
        assert_true(a.loss == b.loss && a.rel_loss == b.rel_loss && a.trace == b.trace);
        result_release(&whole);
        result_release(&half);
    }
    assert_int_equal(halves, 5);
    assert_false(solver_half(&variants[0], "gptaq"));
    assert_false(solver_half(&variants[0], "qep+gptq"));
    assert_false(solver_half(&variants[0], "nosuch"));
    free(H);
    site_release(&s);
}

static void test_scale_of_h(void **ctx)
{
    struct site s;

    (void)ctx;
    site_init(&s, 33, 192, 800, 3);
    for (size_t v = 0; v < VARIANTS; v++) {
        struct result first, other;

        solve_ok(&variants[v], s.N, s.K, s.W, s.H, &first);
        for (size_t i = 0; i < s.K * s.K; i++)
            s.H[i] *= 0x1p40;
        solve_ok(&variants[v], s.N, s.K, s.W, s.H, &other);
        same(&s, grid_groups(s.K, variants[v].group), &first, &other);
        result_release(&first);
        result_release(&other);
    }
    site_release(&s);
}

/* With independent inputs an error cannot be made good: GPTQ is rounding to nearest, in any order.
 */
static void test_identity_is_rtn(void **ctx)
{
    struct site s;

    (void)ctx;
    site_init(&s, 65, 192, 1, 4);
    memset(s.H, 0, s.K * s.K * sizeof *s.H);
    for (size_t k = 0; k < s.K; k++)
        s.H[k * s.K + k] = 1.0 + (double)(k % 5);
    for (size_t v = 0; v < VARIANTS; v++) {
        struct result gptq, rtn;
        struct solve_opts o = variants[v];

        solve_ok(&o, s.N, s.K, s.W, s.H, &gptq);
        o.solver = "rtn";
        solve_ok(&o, s.N, s.K, s.W, s.H, &rtn);
        same(&s, grid_groups(s.K, o.group), &gptq, &rtn);
        result_release(&gptq);
        result_release(&rtn);
    }
    site_release(&s);
}

static void test_gptq_beats_rtn(void **ctx)
{
    struct site s;

    (void)ctx;
    site_init(&s, 40, 192, 800, 5);
    for (size_t v = 0; v < VARIANTS; v++) {
        struct result gptq, rtn;
        struct solve_opts o = variants[v];

        solve_ok(&o, s.N, s.K, s.W, s.H, &gptq);
        o.solver = "rtn";
        solve_ok(&o, s.N, s.K, s.W, s.H, &rtn);
        assert_true(total_loss(&o, s.N, s.K, s.W, s.H, &gptq) <
                    total_loss(&o, s.N, s.K, s.W, s.H, &rtn));
        result_release(&gptq);
        result_release(&rtn);
    }
    site_release(&s);
}

/* ---- damping and dead columns ---- */

static void test_ladder(void **ctx)
{
    struct solve_opts o = solve_opts_default();
    struct result r;
    struct site s;

    (void)ctx;
    o.group = 32;
    site_init(&s, 8, 64, 10, 6); /* rank 10 of 64 */
    solve_ok(&o, s.N, s.K, s.W, s.H, &r);
    assert_null(r.stats.fallback);
    assert_int_equal(r.stats.attempts, 1);
    result_release(&r);
    /* Smallest eigenvalue -0.3 of the mean diagonal: 0.5 is the first damping that lifts it. */
    memset(s.H, 0, s.K * s.K * sizeof *s.H);
    for (size_t k = 0; k < s.K; k++)
        s.H[k * s.K + k] = 1.0;
    s.H[5 * s.K + 9] = s.H[9 * s.K + 5] = 1.3;
    solve_ok(&o, s.N, s.K, s.W, s.H, &r);
    assert_null(r.stats.fallback);
    assert_int_equal(r.stats.attempts, 6);
    assert_true(r.stats.damp == 0.5);
    result_release(&r);
    /* Diagonal 1 and -0.02, 0.89 beside it: damping .5 gives 1.49 * 0.47 < 0.89^2, the floor 0.1
     * gives 1.49 * 0.59. */
    s.H[5 * s.K + 9] = s.H[9 * s.K + 5] = 0.89;
    s.H[9 * s.K + 9] = -0.02;
    solve_ok(&o, s.N, s.K, s.W, s.H, &r);
    assert_string_equal(r.stats.fallback, "floor");
    result_release(&r);
    /* Nothing helps: rounding to nearest, and it says so. */
    s.H[5 * s.K + 9] = s.H[9 * s.K + 5] = 50.0;
    solve_ok(&o, s.N, s.K, s.W, s.H, &r);
    assert_string_equal(r.stats.fallback, "rtn");
    assert_int_equal(r.stats.attempts, 12);
    {
        struct result rtn;
        o.solver = "rtn";
        solve_ok(&o, s.N, s.K, s.W, NULL, &rtn);
        same(&s, 2, &r, &rtn);
        result_release(&rtn);
    }
    result_release(&r);
    site_release(&s);
}

static void test_damp_starts_higher(void **ctx)
{
    struct solve_opts o = solve_opts_default();
    struct result r;
    struct site s;

    (void)ctx;
    o.group = -1;
    o.damp = 0.07;
    site_init(&s, 4, 16, 40, 7);
    memset(s.H, 0, s.K * s.K * sizeof *s.H);
    for (size_t k = 0; k < s.K; k++)
        s.H[k * s.K + k] = 1.0;
    s.H[1] = s.H[s.K] = 1.15;
    solve_ok(&o, s.N, s.K, s.W, s.H, &r); /* 0.07, 0.1, 0.2 */
    assert_int_equal(r.stats.attempts, 3);
    assert_true(r.stats.damp == 0.2);
    result_release(&r);
    site_release(&s);
}

static void kill_column(struct site *s, size_t k)
{
    for (size_t i = 0; i < s->K; i++)
        s->H[i * s->K + k] = s->H[k * s->K + i] = 0.0;
}

static void test_dead_columns(void **ctx)
{
    struct solve_opts o = solve_opts_default();
    struct result r, rtn;
    struct site s;

    (void)ctx;
    o.group = 32;
    site_init(&s, 10, 64, 200, 8);
    kill_column(&s, 3);
    kill_column(&s, 40);
    solve_ok(&o, s.N, s.K, s.W, s.H, &r);
    assert_int_equal(r.stats.dead, 2);
    o.solver = "rtn";
    solve_ok(&o, s.N, s.K, s.W, NULL, &rtn);
    for (size_t n = 0; n < s.N; n++) { /* kept: rounded to nearest, no neighbour moves them */
        assert_int_equal(r.codes[n * s.K + 3], rtn.codes[n * s.K + 3]);
        assert_int_equal(r.codes[n * s.K + 40], rtn.codes[n * s.K + 40]);
    }
    result_release(&r);
    o.solver = "gptq";
    o.dead = DEAD_ZERO;
    solve_ok(&o, s.N, s.K, s.W, s.H, &r);
    for (size_t n = 0; n < s.N; n++)
        assert_int_equal(r.codes[n * s.K + 3], r.zeros[n * 2]);
    result_release(&r);
    memset(s.H, 0, s.K * s.K * sizeof *s.H); /* all dead: rounding to nearest */
    o.dead = DEAD_KEEP;
    solve_ok(&o, s.N, s.K, s.W, s.H, &r);
    assert_int_equal(r.stats.dead, s.K);
    assert_null(r.stats.fallback);
    same(&s, 2, &r, &rtn);
    result_release(&r);
    result_release(&rtn);
    site_release(&s);
}

/* The type that holds W must not matter. */
static void test_weight_types(void **ctx)
{
    struct solve_opts o = solve_opts_default();
    struct site s;
    struct err e = {0};
    uint16_t *half;
    double *wide;
    struct result a, b;

    (void)ctx;
    o.group = 32;
    site_init(&s, 5, 64, 200, 9);
    half = malloc(s.N * s.K * sizeof *half);
    wide = malloc(s.N * s.K * sizeof *wide);
    for (size_t i = 0; i < s.N * s.K; i++) {
        half[i] = f32_to_bf16(s.W[i]);
        wide[i] = (double)bf16_to_f32(half[i]);
    }
    assert_int_equal(solve_threads(&o, s.N, s.K, DT_BF16, half, s.H, 1, &a, &e), 0);
    assert_int_equal(solve_threads(&o, s.N, s.K, DT_F64, wide, s.H, 1, &b, &e), 0);
    same(&s, 2, &a, &b);
    result_release(&b);
    assert_int_equal(solve_threads(&o, s.N, s.K, DT_I32, wide, s.H, 1, &b, &e), -1);
    assert_non_null(strstr(e.text, "not a float type"));
    result_release(&a);
    result_release(&b);
    free(half);
    free(wide);
    site_release(&s);
}

/* sum_ij x_i A_ij y_j, and what no rounding of its sums can exceed, over eps. */
static double form(size_t K, const double *x, const double *A, const double *y, double *most)
{
    double sum = 0.0;

    for (size_t i = 0; i < K; i++)
        for (size_t k = 0; k < K; k++) {
            sum += x[i] * A[i * K + k] * y[k];
            *most += 4.0 * (double)K * fabs(x[i] * A[i * K + k] * y[k]);
        }
    return sum;
}

/* Losses of more columns than are multiplied at a time, against the plain sums. */
static void test_losses(void **ctx)
{
    struct solve_opts o = solve_opts_default();
    struct site s;
    struct result r;
    struct err e = {0};
    double e_H = 0.0, w_H = 0.0, cross = 0.0, most_e = 0.0, most_w = 0.0, most_x = 0.0, *D, *x, *w;

    (void)ctx;
    site_init(&s, 130, 704, 100, 5);
    D = mem_raw(s.K * s.K, sizeof *D, &e);
    x = mem_raw(2 * s.K, sizeof *x, &e);
    assert_true(D && x);
    w = x + s.K;
    for (size_t i = 0; i < s.K * s.K; i++)
        D[i] = (double)(i * 2654435761U % 1000) / 1000.0 - 0.5;
    solve_ok(&o, s.N, s.K, s.W, s.H, &r);
    for (size_t threads = 1; threads <= 3; threads += 2) {
        struct par *p = par_open(threads, &e);
        struct solve_job j = {.N = s.N,
                              .K = s.K,
                              .G = grid_groups(s.K, o.group),
                              .w_type = DT_F32,
                              .W = s.W,
                              .H = s.H,
                              .D = D,
                              .codes = r.codes,
                              .scales = r.scales};
        struct solve_loss loss;

        assert_int_equal(solve_loss(&o, &j, p, &loss, &e), 0);
        par_close(&p);
        for (size_t n = 0; threads == 1 && n < s.N; n++) {
            for (size_t g = 0; g < j.G; g++)
                solve_grid_values(&o, &j, n, g, r.scales[n * j.G + g], x + g * (size_t)o.group);
            for (size_t k = 0; k < s.K; k++) {
                w[k] = (double)s.W[n * s.K + k];
                x[k] = w[k] - x[k];
            }
            e_H += form(s.K, x, s.H, x, &most_e);
            w_H += form(s.K, w, s.H, w, &most_w);
            cross += form(s.K, w, D, x, &most_x);
        }
        assert_true(fabs(loss.loss - e_H) <= DBL_EPSILON * most_e);
        assert_true(fabs(loss.loss / loss.rel_loss - w_H) <= DBL_EPSILON * 2.0 * most_w);
        assert_true(fabs(loss.asym_loss - e_H - 2.0 * cross) <=
                    DBL_EPSILON * 2.0 * (most_e + most_x));
        assert_true(most_e * DBL_EPSILON < 1e-6 * e_H);
    }
    free(D);
    free(x);
    result_release(&r);
    site_release(&s);
}

/* Every tile is in one band, no band is wider than one may be, and few rows are still shared. */
static void test_bands(void **state)
{
    static const size_t rows[] = {1, 64, 65, 192, 576, 2048, 2049, 16384, 128256};

    (void)state;
    assert_int_equal(solve_band_count(0), 0);
    assert_int_equal(solve_band_most(0), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const size_t N = rows[i], tiles = solve_tile_count(N), count = solve_band_count(N);
        size_t most = 0;

        assert_true(count >= (tiles < SOLVE_BANDS ? tiles : SOLVE_BANDS));
        assert_int_equal(solve_band_start(N, 0), 0);
        assert_int_equal(solve_band_start(N, count), tiles);
        for (size_t k = 0; k < count; k++) {
            const size_t wide = solve_band_start(N, k + 1) - solve_band_start(N, k);

            assert_in_range(wide, 1, SOLVE_BAND);
            most = wide > most ? wide : most;
        }
        assert_int_equal(solve_band_most(N), most);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weight_types),    cmocka_unit_test(test_block_size),
        cmocka_unit_test(test_threads),         cmocka_unit_test(test_scale_of_h),
        cmocka_unit_test(test_identity_is_rtn), cmocka_unit_test(test_gptq_beats_rtn),
        cmocka_unit_test(test_ladder),          cmocka_unit_test(test_damp_starts_higher),
        cmocka_unit_test(test_dead_columns),    cmocka_unit_test(test_half_of_h),
        cmocka_unit_test(test_losses),          cmocka_unit_test(test_bands),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    return cmocka_run_group_tests_name("solve_sweep", tests, NULL, NULL);
}
