/* SPDX-License-Identifier: Apache-2.0 */
/* A grid that only this test knows, levels from a table (FP4 E2M1): solvers and fits take it as
 * they take the grids of the product, and what needs equal steps refuses it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "../../common/base/rng.h"
#include "../../common/tensor/blas.h"
#include "../../stages/solve/solve.h"
#include "../../stages/solve/solve_loss.h"
#include "../../stages/solve/solve_opts.h"
#include "solver_run.h"

enum { N = 70, K = 64, GROUP = 32, G = K / GROUP };

static const double level[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6};

static unsigned code_of(double w, double scale)
{
    unsigned best = 0;

    for (unsigned c = 1; c < 16; c++)
        if (fabs(scale * level[c] - w) < fabs(scale * level[best] - w))
            best = c;
    return best;
}

static int zero(int bits)
{
    (void)bits;
    return 0;
}

static void value(const struct grid_group *g, const uint8_t *codes, size_t n, double *w)
{
    for (size_t k = 0; k < n; k++)
        w[k] = g->scale * level[codes[k]];
}

static void nearest(const struct grid_lanes *g, const double *w, double *q, uint8_t *code)
{
    for (size_t r = 0; r < GRID_LANES; r++) {
        const unsigned c = code_of(w[r], g->scale[r]);

        q[r] = g->scale[r] * level[c];
        if (code)
            code[r] = (uint8_t)c;
    }
}

static void ends(const struct grid_lanes *g, double *low, double *high)
{
    for (size_t r = 0; r < GRID_LANES; r++) {
        high[r] = 6 * g->scale[r];
        low[r] = -high[r];
    }
}

static void range(double *lo, double *hi)
{
    *hi = fmax(fmax(-*lo, *hi), 1e-6);
    *lo = -*hi;
}

static int place(const struct grid_fit *f, double lo, double hi, double p, double *scale,
                 double *zero_point, int *raised)
{
    (void)lo;
    *scale = hi * p / 6;
    *zero_point = 0;
    return grid_store_scale(f->scale_type, scale, raised);
}

static const struct grid fp4 = {
    .name = "fp4",
    .bits = GRID_BIT(4),
    .scale_types = GRID_BIT(DT_F32) | GRID_BIT(DT_F64),
    .zero = zero,
    .value = value,
    .nearest = nearest,
    .ends = ends,
    .range = range,
    .place = place,
};

static float W[N * K];
static double H[K * K], D[K * K];

static struct solve_opts opts(const char *solver)
{
    struct solve_opts o = solve_opts_default();

    o.solver = solver;
    o.grid = &fp4;
    o.group = GROUP;
    o.scale_type = DT_F32;
    return o;
}

static void refused(const struct solve_opts *o, const char *word)
{
    struct err e = {0};

    assert_int_equal(solve_check_opts(o, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not say '%s'", e.text, word);
}

static void refuses(void **state)
{
    struct solve_opts o = opts("gptq");
    struct err e = {0};

    (void)state;
    assert_int_equal(solve_check_opts(&o, &e), 0);
    o.bits = 3;
    refused(&o, "--bits");
    o = opts("gptq");
    o.scale_type = DT_F16;
    refused(&o, "--scale-type");
    o = opts("ojbkq");
    refused(&o, "equal steps, which fp4 is not");
}

/* tr((W - Q) H (W - Q)') with Q by the table. */
static double plain_loss(const struct result *r)
{
    double loss = 0;

    for (size_t n = 0; n < N; n++) {
        double d[K];

        for (size_t k = 0; k < K; k++)
            d[k] = (double)W[n * K + k] - r->scales[n * G + k / GROUP] * level[r->codes[n * K + k]];
        for (size_t i = 0; i < (size_t)K * K; i++)
            loss += d[i / K] * H[i] * d[i % K];
    }
    return loss;
}

/* What the stage says of a result. */
static double own_loss(const struct solve_opts *o, struct result *r)
{
    struct solve_job j = {.name = "w",
                          .N = N,
                          .K = K,
                          .G = G,
                          .w_type = DT_F32,
                          .W = W,
                          .H = H,
                          .codes = r->codes,
                          .scales = r->scales};
    struct err e = {0};
    struct par *p = par_open(1, &e);
    struct solve_loss loss;

    assert_int_equal(solve_loss(o, &j, p, &loss, &e), 0);
    par_close(&p);
    return loss.loss;
}

static double solved(const struct solve_opts *o)
{
    struct result r;
    struct err e = {0};
    double loss;

    if (solve_drift(o, N, K, DT_F32, W, H, D, 2, &r, &e))
        fail_msg("%s: %s", o->solver, e.text);
    loss = plain_loss(&r);
    /* sums of K^2 doubles in another order */
    assert_true(fabs(own_loss(o, &r) - loss) <= 1e-10 * loss);
    for (size_t i = 0; strcmp(o->solver, "rtn") == 0 && !o->refine && i < (size_t)N * K; i++)
        assert_int_equal(r.codes[i], code_of((double)W[i], r.scales[i / K * G + i % K / GROUP]));
    result_release(&r);
    return loss;
}

static void solves(void **state)
{
    struct solve_opts o = opts("rtn");
    const double rtn = solved(&o);
    double fitted, gptq;

    (void)state;
    for (o.fit = FIT_MSE; o.fit <= FIT_NEUQI; o.fit++) {
        fitted = solved(&o);
        assert_true(fitted < 1.05 * rtn);
    }
    o = opts("rtn");
    o.refine = 3;
    assert_true(solved(&o) < rtn);
    o = opts("gptq");
    gptq = solved(&o);
    assert_true(gptq < rtn);
    o.groups = GROUPS_DYNAMIC;
    assert_true(solved(&o) < rtn);
    o = opts("gptaq"); /* D is 0: nothing to make up for */
    assert_true(fabs(solved(&o) - gptq) <= 1e-9 * gptq);
}

static void make_problem(void)
{
    static double X[3 * K][K];
    struct rng r;

    rng_seed(&r, 11, 0);
    for (size_t i = 0; i < N * K; i++)
        W[i] = (float)rng_normal(&r);
    for (size_t t = 0; t < 3 * K; t++)
        for (size_t k = 0; k < K; k++)
            X[t][k] = rng_normal(&r) + (k ? 0.7 * X[t][k - 1] : 0);
    for (size_t t = 0; t < 3 * K; t++)
        for (size_t i = 0; i < K; i++)
            for (size_t k = 0; k < K; k++)
                H[i * K + k] += X[t][i] * X[t][k] / (3 * K);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(solves),
    };
    struct err e = {0};

    if (blas_start(&e) < 0)
        return err_exit(&e);
    make_problem();
    return cmocka_run_group_tests_name("solve_table", tests, NULL, NULL);
}
