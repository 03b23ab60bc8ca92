/* SPDX-License-Identifier: Apache-2.0 */
/* solve_loss - see solve_loss.h. Only the lower triangle of H is multiplied: blocks below the
 * diagonal count twice. */
#include "solve_loss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/each_cpu.h"
#include "../../common/base/mem.h"
#include "../../common/tensor/blas.h"
#include "solve_band.h"
#include "solve_energy.h"
#include "solve_expand.h"
#include "solve_grid.h"

#define R SOLVE_TILE
#define WIDE (SOLVE_BAND * R)
#define BLOCK EXPAND_BLOCK /* what H is there for, at least */
#define STEP (4 * BLOCK)   /* rows of H that are multiplied at a time */

struct loss_terms {
    double e, w, cross; /* tr(E H E'), tr(W H W'), tr(W D E') of a band */
    double e2, w2;      /* |E|^2, |W|^2 */
};

/* ld: rows of a band, those past the end of the matrix too. */
struct scratch {
    double *x;   /* [K][ld] weights, then errors */
    double *y;   /* [STEP][ld] products */
    double *z;   /* [K][ld] (W D)'; only where there is D */
    double *row; /* [K] */
};

struct run {
    const struct solve_opts *o;
    const struct solve_job *j;
    size_t group;
    struct scratch *scratch;
    struct loss_terms *sums; /* one per band */
};

static int scratch_init(struct scratch *t, const struct solve_job *j, struct err *e)
{
    const size_t col = solve_band_most(j->N) * R * sizeof(double);

    t->x = mem_raw(j->K, col, e);
    t->y = mem_raw(STEP, col, e);
    t->z = j->D ? mem_raw(j->K, col, e) : NULL;
    t->row = mem_raw(j->K, sizeof(double), e);
    return t->x && t->y && (t->z || !j->D) && t->row ? 0 : -1;
}

static void scratch_release(struct scratch *t)
{
    free(t->x);
    free(t->y);
    free(t->z);
    free(t->row);
}

/* x = W, rows past the end 0. */
static int fill(const struct run *run, struct scratch *t, size_t first, size_t ld, struct err *e)
{
    const struct solve_job *j = run->j;

    for (size_t at = 0; at < ld; at += R)
        if (solve_tile_load(j->w_type, j->W, j->N, j->K, first + at, t->x + at, ld))
            return err_set(e, ERR_USE, "%s: weights are %s, not a float type", j->name,
                           dtype_name(j->w_type));
    return 0;
}

/* x = W - Q */
static void subtract(const struct run *run, struct scratch *t, size_t first, size_t ld)
{
    const struct solve_job *j = run->j;
    const size_t rows = j->N - first < ld ? j->N - first : ld;

    for (size_t g = 0; g < j->G; g++)
        for (size_t r = 0; r < rows; r++) {
            const size_t n = first + r, start = g * run->group;

            solve_grid_values(run->o, j, n, g, j->scales[n * j->G + g], t->row);
            for (size_t k = 0; k < run->group; k++)
                t->x[(start + k) * ld + r] -= t->row[k];
        }
}

/* sum[c] += x[c] y[c] over n rows of so many columns */
EACH_BODY dot_body(const double *restrict x, const double *restrict y, size_t n, size_t ld,
                   double *restrict sum)
{
    for (size_t k = 0; k < n; k++)
        for (size_t c = 0; c < ld; c++)
            sum[c] += x[k * ld + c] * y[k * ld + c];
}

static void dot(const double *restrict x, const double *restrict y, size_t n, size_t ld,
                double *restrict sum);
EACH_CPU(dot,
         (const double *restrict x, const double *restrict y, size_t n, size_t ld,
          double *restrict sum),
         (x, y, n, ld, sum))

/* The sum of x y over n rows: that of each column, then these. */
static double inner(const double *x, const double *y, size_t n, size_t ld)
{
    double sum[WIDE] = {0}, all = 0.0;

    dot(x, y, n, ld, sum);
    for (size_t c = 0; c < ld; c++)
        all += sum[c];
    return all;
}

/* y [s1 - s0][ld] = what rows [s0, s1) of H do to x: of columns before the block on the diagonal
 * twice, of those behind it nothing. */
static int product(const struct run *run, const struct scratch *t, size_t s0, size_t s1, size_t ld,
                   struct err *e)
{
    const size_t K = run->j->K;

    for (size_t b0 = s0; b0 < s1; b0 += BLOCK) {
        const size_t n = s1 - b0 < BLOCK ? s1 - b0 : BLOCK;
        const double *H = run->j->H + b0 * K;
        double *y = t->y + (b0 - s0) * ld;

        if (blas_dgemm(NULL, 0, 0, n, ld, n, 1.0, H + b0, K, t->x + b0 * ld, ld, 0.0, y, ld, e) ||
            (b0 > s0 && blas_dgemm(NULL, 0, 0, n, ld, b0 - s0, 2.0, H + s0, K, t->x + s0 * ld, ld,
                                   1.0, y, ld, e)))
            return -1;
    }
    return s0 == 0 ? 0
                   : blas_dgemm(NULL, 0, 0, s1 - s0, ld, s0, 2.0, run->j->H + s0 * K, K, t->x, ld,
                                1.0, t->y, ld, e);
}

/* tr(X H X') and |X|^2 */
static int quadratic(const struct run *run, const struct scratch *t, size_t ld, double *form,
                     double *square, struct err *e)
{
    const size_t K = run->j->K;

    for (size_t s0 = 0; s0 < K; s0 += STEP) {
        const size_t s1 = K - s0 < STEP ? K : s0 + STEP;

        if (product(run, t, s0, s1, ld, e))
            return -1;
        *form += inner(t->x + s0 * ld, t->y, s1 - s0, ld);
    }
    *square = inner(t->x, t->x, K, ld);
    return 0;
}

static int loss_band(void *ctx, size_t i, size_t worker, struct err *e)
{
    struct run *run = ctx;
    const struct solve_job *j = run->j;
    struct scratch *t = &run->scratch[worker];
    struct loss_terms *out = &run->sums[i];
    const size_t start = solve_band_start(j->N, i), first = start * R;
    const size_t ld = (solve_band_start(j->N, i + 1) - start) * R;

    if (!t->row && scratch_init(t, j, e))
        return -1;
    if (fill(run, t, first, ld, e) || quadratic(run, t, ld, &out->w, &out->w2, e))
        return -1;
    if (j->D && blas_dgemm(NULL, 1, 0, j->K, ld, j->K, 1.0, j->D, j->K, t->x, ld, 0.0, t->z, ld, e))
        return -1;
    subtract(run, t, first, ld);
    if (j->D)
        out->cross = inner(t->x, t->z, j->K, ld);
    return quadratic(run, t, ld, &out->e, &out->e2, e);
}

static void put(const struct solve_job *j, const struct loss_terms *total, struct solve_loss *out)
{
    double trace = 0.0;

    for (size_t k = 0; k < j->K; k++)
        trace += j->H[k * j->K + k];
    out->loss = total->e;
    out->rel_loss = total->w > 0.0 ? total->e / total->w : 0.0;
    out->round_off = total->w2 > 0.0 ? total->e2 / total->w2 : 0.0;
    out->trace = total->e2 * (trace / (double)j->K);
    out->asym_loss = j->D ? total->e + 2.0 * total->cross : NAN;
}

/* What the sweep has told; the weights' own part need not be as exact. */
static int told(const struct solve_job *j, struct par *p, struct solve_loss *out, struct err *e)
{
    struct loss_terms total = {.e = j->loss, .e2 = j->square};

    if (solve_energy(j, p, &total.w, &total.w2, e))
        return -1;
    put(j, &total, out);
    return 0;
}

int solve_loss(const struct solve_opts *o, const struct solve_job *j, struct par *p,
               struct solve_loss *out, struct err *e)
{
    const size_t bands = solve_band_count(j->N);
    struct run run = {.o = o, .j = j, .group = o->group > 0 ? (size_t)o->group : j->K};
    struct loss_terms total = {.e = 0.0};
    int rc = -1;

    if (j->told && !j->D)
        return told(j, p, out, e);

    run.scratch = mem_array(par_threads(p), sizeof *run.scratch, e);
    run.sums = mem_array(bands, sizeof *run.sums, e);
    if (!run.scratch || !run.sums || par_for(p, bands, loss_band, &run, e))
        goto out;
    for (size_t i = 0; i < bands; i++) {
        total.e += run.sums[i].e;
        total.w += run.sums[i].w;
        total.cross += run.sums[i].cross;
        total.e2 += run.sums[i].e2;
        total.w2 += run.sums[i].w2;
    }
    put(j, &total, out);
    rc = 0;
out:
    for (size_t i = 0; run.scratch && i < par_threads(p); i++)
        scratch_release(&run.scratch[i]);
    free(run.scratch);
    free(run.sums);
    return rc;
}
