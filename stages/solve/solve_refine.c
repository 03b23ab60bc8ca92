/* SPDX-License-Identifier: Apache-2.0 */
/* solve_refine - see solve_refine.h. Stage 2 of two-stage group scales (ICASSP 2026, arXiv
 * 2602.02126): with C what the codes are worth at scale 1,
 * s_g += [C_g H_g: (W - Q)' + refine_alpha W D_:g C_g'] / (C_g H_gg C_g').
 * The nearest number of the type to a minimum of a parabola is never worse than another number of
 * the type, so rounding keeps this a descent. */
#include "solve_refine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/tensor/blas.h"
#include "solve_damp.h"
#include "solve_grid.h"
#include "solve_tile.h"

#define R SOLVE_TILE

struct scratch {
    double *w, *d; /* [K][R] weights, W - Q */
    double *c;     /* [K][R] what the codes are worth at scale 1 */
    double *x, *y; /* [group][R] */
    double *row;   /* [K] */
};

struct run {
    const struct solve_opts *o;
    struct solve_job *j;
    size_t group, G;
    double *diag;
    uint8_t *dead;
    struct scratch *scratch;
};

static void scratch_release(struct scratch *t)
{
    free(t->w);
    free(t->d);
    free(t->c);
    free(t->x);
    free(t->y);
    free(t->row);
}

static int scratch_init(struct scratch *t, size_t K, size_t group, struct err *e)
{
    const size_t col = R * sizeof(double);

    t->w = mem_raw(K, col, e);
    t->d = mem_raw(K, col, e);
    t->c = mem_raw(K, col, e);
    t->x = mem_raw(group, col, e);
    t->y = mem_raw(group, col, e);
    t->row = mem_raw(K, sizeof(double), e);
    return t->w && t->d && t->c && t->x && t->y && t->row ? 0 : -1;
}

static int fill(const struct run *run, struct scratch *t, size_t first, size_t rows, struct err *e)
{
    const struct solve_job *j = run->j;

    if (solve_tile_load(j->w_type, j->W, j->N, j->K, first, t->w, R))
        return err_set(e, ERR_USE, "%s: weights are %s, not a float type", j->name,
                       dtype_name(j->w_type));
    memset(t->c, 0, j->K * R * sizeof *t->c);
    memset(t->d, 0, j->K * R * sizeof *t->d);
    for (size_t k = 0; run->o->dead == DEAD_ZERO && k < j->K; k++)
        if (run->dead[k])
            memset(t->w + k * R, 0, R * sizeof *t->w);
    for (size_t g = 0; g < run->G; g++)
        for (size_t r = 0; r < rows; r++) {
            const size_t n = first + r, start = g * run->group;

            solve_grid_values(run->o, j, n, g, 1.0, t->row);
            for (size_t k = 0; k < run->group; k++) {
                const size_t at = (start + k) * R + r;

                t->c[at] = t->row[k];
                t->d[at] = t->w[at] - j->scales[n * run->G + g] * t->c[at];
            }
        }
    return 0;
}

/* x = H_g: (W - Q)' + refine_alpha (W D_:g)', y = H_gg C_g', H with the damped diagonal. */
static int products(const struct run *run, struct scratch *t, size_t start, size_t n, struct err *e)
{
    const struct solve_job *j = run->j;
    const size_t K = j->K;
    const double *H = j->H + start * K;

    if (blas_dgemm(NULL, 0, 0, n, R, K, 1.0, H, K, t->d, R, 0.0, t->x, R, e) ||
        blas_dgemm(NULL, 0, 0, n, R, n, 1.0, H + start, K, t->c + start * R, R, 0.0, t->y, R, e))
        return -1;
    if (j->D && run->o->refine_alpha > 0.0 &&
        blas_dgemm(NULL, 1, 0, n, R, K, run->o->refine_alpha, j->D + start, K, t->w, R, 1.0, t->x,
                   R, e))
        return -1;
    for (size_t k = 0; k < n; k++) {
        const double more = run->diag[start + k] - H[k * K + start + k];
        for (size_t r = 0; r < R; r++) {
            t->x[k * R + r] += more * t->d[(start + k) * R + r];
            t->y[k * R + r] += more * t->c[(start + k) * R + r];
        }
    }
    return 0;
}

static void move_scale(const struct run *run, struct scratch *t, size_t first, size_t r, size_t g,
                       size_t start, size_t n)
{
    double *scale = &run->j->scales[(first + r) * run->G + g], above = 0.0, below = 0.0, s;
    int raised;

    for (size_t k = 0; k < n; k++) {
        const double c = t->c[(start + k) * R + r];
        above += c * t->x[k * R + r];
        below += c * t->y[k * R + r];
    }
    s = *scale + above / below;
    if (!(below > 0.0) || !isfinite(s) || !(s > 0.0) ||
        grid_round_scale(run->o->grid, grid_scale_type(run->o->grid, run->o->scale_type),
                         run->j->tensor_scale, &s, &raised) ||
        raised)
        return;
    *scale = s;
    for (size_t k = start; k < start + n; k++)
        t->d[k * R + r] = t->w[k * R + r] - s * t->c[k * R + r];
}

static int refine_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct run *run = ctx;
    struct scratch *t = &run->scratch[worker];
    const size_t first = i * R, rows = run->j->N - first < R ? run->j->N - first : R;

    if (!t->row && scratch_init(t, run->j->K, run->group, e))
        return -1;
    if (fill(run, t, first, rows, e))
        return -1;
    for (int pass = 0; pass < run->o->refine; pass++)
        for (size_t g = 0; g < run->G; g++) {
            const size_t start = g * run->group;
            if (products(run, t, start, run->group, e))
                return -1;
            for (size_t r = 0; r < rows; r++)
                move_scale(run, t, first, r, g, start, run->group);
        }
    return 0;
}

int solve_refine(const struct solve_opts *o, struct solve_job *j, struct par *p, struct err *e)
{
    struct run run = {.o = o, .j = j, .group = o->group > 0 ? (size_t)o->group : j->K};
    int rc = -1;

    if (o->refine <= 0 || !j->H)
        return 0;
    j->told = 0;
    run.G = j->K / run.group;
    run.diag = mem_array(j->K, sizeof *run.diag, e);
    run.dead = mem_array(j->K, 1, e);
    run.scratch = mem_array(par_threads(p), sizeof *run.scratch, e);
    if (!run.diag || !run.dead || !run.scratch)
        goto out;
    damp_diag(o, j->K, j->H, run.diag, run.dead);
    rc = par_for(p, solve_tile_count(j->N), refine_tile, &run, e);
out:
    for (size_t i = 0; run.scratch && i < par_threads(p); i++)
        scratch_release(&run.scratch[i]);
    free(run.scratch);
    free(run.diag);
    free(run.dead);
    return rc;
}
