/* SPDX-License-Identifier: Apache-2.0 */
/* solve_loss - see solve_loss.h. Only the lower triangle of H is multiplied: blocks below the
 * diagonal count twice. */
#include "solve_loss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/tensor/blas.h"
#include "solve_expand.h"
#include "solve_grid.h"
#include "solve_tile.h"

#define R SOLVE_TILE
#define BLOCK EXPAND_BLOCK /* what H is there for, at least */

struct loss_terms {
    double e, w, cross; /* tr(E H E'), tr(W H W'), tr(W D E') of a tile */
    double e2, w2;      /* |E|^2, |W|^2 */
};

struct scratch {
    double *w;   /* [K][R] */
    double *x;   /* [K][2R]: errors, then weights */
    double *y;   /* [K][2R]: products */
    double *row; /* [K] */
};

struct run {
    const struct solve_opts *o;
    const struct solve_job *j;
    size_t group;
    struct scratch *scratch;
    struct loss_terms *sums; /* one per tile */
};

static int scratch_init(struct scratch *t, size_t K, struct err *e)
{
    const size_t col = R * sizeof(double);

    t->w = mem_raw(K, col, e);
    t->x = mem_raw(K, 2 * col, e);
    t->y = mem_raw(K, 2 * col, e);
    t->row = mem_raw(K, sizeof(double), e);
    return t->w && t->x && t->y && t->row ? 0 : -1;
}

static void scratch_release(struct scratch *t)
{
    free(t->w);
    free(t->x);
    free(t->y);
    free(t->row);
}

/* x = (W - Q, W), rows past the end 0. */
static int fill(const struct run *run, struct scratch *t, size_t first, struct err *e)
{
    const struct solve_job *j = run->j;
    const size_t K = j->K, rows = j->N - first < R ? j->N - first : R;

    if (solve_tile_load(j->w_type, j->W, j->N, K, first, t->row, t->w))
        return err_set(e, ERR_USE, "%s: weights are %s, not a float type", j->name,
                       dtype_name(j->w_type));
    for (size_t k = 0; k < K; k++) {
        double *x = t->x + 2 * k * R;

        memcpy(x, t->w + k * R, R * sizeof *x);
        memcpy(x + R, t->w + k * R, R * sizeof *x);
    }
    for (size_t g = 0; g < j->G; g++)
        for (size_t r = 0; r < rows; r++) {
            const size_t n = first + r, start = g * run->group;

            solve_grid_values(run->o, j, n, g, j->scales[n * j->G + g], t->row);
            for (size_t k = 0; k < run->group; k++)
                t->x[2 * (start + k) * R + r] -= t->row[k];
        }
    return 0;
}

/* sum[c] += weight x[c] y[c] over n rows of width 2R */
static void dot(const double *x, const double *y, size_t n, double weight, double sum[2 * R])
{
    for (size_t k = 0; k < n; k++)
        for (size_t c = 0; c < 2 * R; c++)
            sum[c] += weight * (x[2 * k * R + c] * y[2 * k * R + c]);
}

static int quadratic(const struct run *run, struct scratch *t, struct loss_terms *out,
                     struct err *e)
{
    const size_t K = run->j->K, width = 2 * R;
    double sum[2 * R] = {0};

    for (size_t b0 = 0; b0 < K; b0 += BLOCK) {
        const size_t n = K - b0 < BLOCK ? K - b0 : BLOCK;
        if (blas_dgemm(NULL, 0, 0, K - b0, width, n, 1.0, run->j->H + b0 * K + b0, K,
                       t->x + b0 * width, width, 0.0, t->y, width, e))
            return -1;
        dot(t->x + b0 * width, t->y, n, 1.0, sum);
        dot(t->x + (b0 + n) * width, t->y + n * width, K - b0 - n, 2.0, sum);
    }
    for (size_t r = 0; r < R; r++) {
        out->e += sum[r];
        out->w += sum[R + r];
    }
    memset(sum, 0, sizeof sum);
    dot(t->x, t->x, K, 1.0, sum);
    for (size_t r = 0; r < R; r++) {
        out->e2 += sum[r];
        out->w2 += sum[R + r];
    }
    return 0;
}

static int cross(const struct run *run, struct scratch *t, struct loss_terms *out, struct err *e)
{
    const size_t K = run->j->K;

    for (size_t b0 = 0; b0 < K; b0 += BLOCK) {
        const size_t n = K - b0 < BLOCK ? K - b0 : BLOCK;
        if (blas_dgemm(NULL, 1, 0, n, R, K, 1.0, run->j->D + b0, K, t->x + R, 2 * R, 0.0, t->y, R,
                       e))
            return -1;
        for (size_t k = 0; k < n; k++)
            for (size_t r = 0; r < R; r++)
                out->cross += t->x[2 * (b0 + k) * R + r] * t->y[k * R + r];
    }
    return 0;
}

static int loss_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    struct run *run = ctx;
    struct scratch *t = &run->scratch[worker];

    if (!t->row && scratch_init(t, run->j->K, e))
        return -1;
    if (fill(run, t, i * R, e) || quadratic(run, t, &run->sums[i], e))
        return -1;
    return run->j->D ? cross(run, t, &run->sums[i], e) : 0;
}

int solve_loss(const struct solve_opts *o, const struct solve_job *j, struct par *p,
               struct solve_loss *out, struct err *e)
{
    const size_t tiles = solve_tile_count(j->N);
    struct run run = {.o = o, .j = j, .group = o->group > 0 ? (size_t)o->group : j->K};
    struct loss_terms total = {.e = 0.0};
    double trace = 0.0;
    int rc = -1;

    run.scratch = mem_array(par_threads(p), sizeof *run.scratch, e);
    run.sums = mem_array(tiles, sizeof *run.sums, e);
    if (!run.scratch || !run.sums || par_for(p, tiles, loss_tile, &run, e))
        goto out;
    for (size_t i = 0; i < tiles; i++) {
        total.e += run.sums[i].e;
        total.w += run.sums[i].w;
        total.cross += run.sums[i].cross;
        total.e2 += run.sums[i].e2;
        total.w2 += run.sums[i].w2;
    }
    for (size_t k = 0; k < j->K; k++)
        trace += j->H[k * j->K + k];
    out->loss = total.e;
    out->rel_loss = total.w > 0.0 ? total.e / total.w : 0.0;
    out->round_off = total.w2 > 0.0 ? total.e2 / total.w2 : 0.0;
    out->trace = total.e2 * (trace / (double)j->K);
    out->asym_loss = j->D ? total.e + 2.0 * total.cross : NAN;
    rc = 0;
out:
    for (size_t i = 0; run.scratch && i < par_threads(p); i++)
        scratch_release(&run.scratch[i]);
    free(run.scratch);
    free(run.sums);
    return rc;
}
