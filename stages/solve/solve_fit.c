/* SPDX-License-Identifier: Apache-2.0 */
/* solve_fit - see solve_fit.h.
 *
 * hessian: stage 1 of two-stage group scales (arXiv 2602.02126): the range is shrunk by steps of
 * 1%, the first strict minimum of (q - w) H_gg (q - w)' is kept; asym tries the zero point
 * rounded down, then up. neuqi: after NeuQI (scale and zero by min sum_i H_ii (q_i - w_i)^2,
 * coarse to fine over 2048 values of the scale): 61 steps of 1/64 of the range, 8 of 1/256
 * around the best, 16 of 1/2048 around that; with asym each step also looks at the zero points
 * beside the best so far. Zero points stay whole numbers, because the formats store integers. */
#include "solve_fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/tensor/blas.h"
#include "solve_shrink.h"

#define R SOLVE_TILE
#define HESSIAN_STEPS 100

/* The best grid of each row so far. */
struct best {
    double loss[R], p[R];
    double *s, *z;
    int *raised;
};

static void keep(struct best *b, const double *loss, const double *p, const double *s,
                 const double *z, const int *raised)
{
    for (size_t r = 0; r < R; r++)
        if (loss[r] < b->loss[r]) {
            b->loss[r] = loss[r];
            b->p[r] = p[r];
            b->s[r] = s[r];
            b->z[r] = z[r];
            b->raised[r] = raised[r];
        }
}

static void best_init(struct best *b, double *s, double *z, int *raised)
{
    b->s = s;
    b->z = z;
    b->raised = raised;
    for (size_t r = 0; r < R; r++) {
        b->loss[r] = INFINITY;
        b->p[r] = s[r] = z[r] = 1.0;
        raised[r] = 0;
    }
}

/* loss[r] = d H_gg d' for d = q - w; work holds 2 n columns. */
static int quadratic(const struct solve_opts *o, const struct solve_job *j,
                     const struct fit_range *f, const double *s, const double *z, double *work,
                     double *loss, struct err *e)
{
    const double *H = j->H + f->start * j->K + f->start;
    const struct grid_lanes lanes = {o->bits, s, z};
    double *d = work, *y = work + f->n * R;

    for (size_t k = 0; k < f->n; k++) {
        o->grid->nearest(&lanes, f->x + k * R, d + k * R, NULL);
        for (size_t r = 0; r < R; r++)
            d[k * R + r] -= f->x[k * R + r];
    }
    if (blas_dgemm(NULL, 0, 0, f->n, R, f->n, 1.0, H, j->K, d, R, 0.0, y, R, e))
        return -1;
    for (size_t r = 0; r < R; r++)
        loss[r] = 0.0;
    for (size_t k = 0; k < f->n; k++) {
        const double more = j->diag[f->start + k] - H[k * j->K + k];
        for (size_t r = 0; r < R; r++)
            loss[r] += d[k * R + r] * (y[k * R + r] + more * d[k * R + r]);
    }
    return 0;
}

int fit_hessian(const struct solve_opts *o, const struct solve_job *j, const struct fit_range *f,
                double *s, double *z, int *raised, struct err *e)
{
    double *work = mem_raw(2 * f->n, R * sizeof *work, e);
    double p[R], s1[R], z1[R], loss[R];
    int raised1[R], rc = -1;
    struct best best;

    if (!work)
        return -1;
    best_init(&best, s, z, raised);
    for (size_t i = 0; i < HESSIAN_STEPS; i++) {
        for (size_t r = 0; r < R; r++)
            p[r] = 1.0 - (double)i / 100.0;
        for (enum zero_round how = ZERO_DOWN; how <= ZERO_UP; how++) {
            if (how == ZERO_UP && !o->grid->zeros)
                continue;
            if (solve_shrink(o, j, f->first, f->lo, f->hi, p, how, s1, z1, raised1, e) ||
                quadratic(o, j, f, s1, z1, work, loss, e))
                goto out;
            keep(&best, loss, p, s1, z1, raised1);
        }
    }
    rc = 0;
out:
    free(work);
    return rc;
}

/* The scales of p, each with the zero points beside the best one so far. */
static int try_neuqi(const struct solve_opts *o, const struct solve_job *j,
                     const struct fit_range *f, const double *p, struct best *best, struct err *e)
{
    const double top = (double)((1 << o->bits) - 1), least = (double)o->zero_min;
    const int reach = o->grid->zeros;
    double s[R], z[R], from[R], loss[R];
    const struct grid_lanes lanes = {o->bits, s, z};
    int raised[R];

    memcpy(from, best->z, sizeof from);
    for (int step = -reach; step <= reach; step++) {
        for (size_t r = 0; r < R; r++)
            z[r] = fmin(fmax(from[r] + (double)step, least), top);
        if (solve_shrink(o, j, f->first, f->lo, f->hi, p, ZERO_GIVEN, s, z, raised, e))
            return -1;
        memset(loss, 0, sizeof loss);
        solve_tile_weighted(f->x, f->n, o->grid, &lanes, j->diag + f->start, loss);
        keep(best, loss, p, s, z, raised);
    }
    return 0;
}

int fit_neuqi(const struct solve_opts *o, const struct solve_job *j, const struct fit_range *f,
              double *s, double *z, int *raised, struct err *e)
{
    static const struct {
        int from, to;
        double unit;
    } around[] = {{-4, 4, 1.0 / 256.0}, {-8, 8, 1.0 / 2048.0}};
    double p[R], centre[R];
    struct best best;

    best_init(&best, s, z, raised);
    for (size_t r = 0; r < R; r++)
        p[r] = 1.0;
    if (solve_shrink(o, j, f->first, f->lo, f->hi, p, ZERO_NEAREST, s, z, raised, e))
        return -1;
    solve_tile_weighted(f->x, f->n, o->grid, &(struct grid_lanes){o->bits, s, z},
                        j->diag + f->start, memset(best.loss, 0, sizeof best.loss));
    for (int i = 0; i <= 60; i++) {
        for (size_t r = 0; r < R; r++)
            p[r] = (double)(64 - i) / 64.0;
        if (try_neuqi(o, j, f, p, &best, e))
            return -1;
    }
    for (size_t stage = 0; stage < sizeof around / sizeof around[0]; stage++) {
        memcpy(centre, best.p, sizeof centre);
        for (int i = around[stage].from; i <= around[stage].to; i++) {
            for (size_t r = 0; r < R; r++)
                p[r] = fmax(centre[r] + i * around[stage].unit, 1.0 / 2048.0);
            if (i != 0 && try_neuqi(o, j, f, p, &best, e))
                return -1;
        }
    }
    return 0;
}
