/* SPDX-License-Identifier: Apache-2.0 */
/* solve_grid - fitting of grids: see solve_grid.h. minmax takes the range as it is, mse shrinks it
 * by steps of 1% and keeps the first strict minimum of sum |q - w|^2.4 (the reference's exponent
 * and 80 steps). Fits that weigh errors: solve_fit.c. */
#include "solve_grid.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include "solve_fit.h"
#include "solve_shrink.h"

#define R SOLVE_TILE
#define MSE_STEPS 80

static int fit_step(const struct solve_opts *o, const struct solve_job *j, size_t first,
                    const double *lo, const double *hi, double p, double *s, double *z, int *raised,
                    struct err *e)
{
    double same[R];

    for (size_t r = 0; r < R; r++)
        same[r] = p;
    return solve_shrink(o, j, first, lo, hi, same, ZERO_NEAREST, s, z, raised, e);
}

static void unit_of(const double *lo, const double *hi, double *unit)
{
    for (size_t r = 0; r < R; r++)
        unit[r] = 1.0 / fmax(fmax(-lo[r], hi[r]), DBL_MIN);
}

static int fit_mse(const struct solve_opts *o, struct solve_job *j, size_t first, const double *lo,
                   const double *hi, const double *x, size_t n, double *s, double *z, int *raised,
                   struct err *e)
{
    double best[R], sums[R], s1[R], z1[R], unit[R];
    const struct grid_lanes lanes = {o->bits, s1, z1};
    int raised1[R];

    unit_of(lo, hi, unit);
    for (size_t i = 0; i < MSE_STEPS; i++) {
        if (fit_step(o, j, first, lo, hi, 1.0 - (double)i / 100.0, s1, z1, raised1, e))
            return -1;
        memset(sums, 0, sizeof sums);
        solve_tile_error(x, n, o->grid, &lanes, unit, sums);
        for (size_t r = 0; r < R; r++)
            if (i == 0 || sums[r] < best[r]) {
                best[r] = sums[r];
                s[r] = s1[r];
                z[r] = z1[r];
                raised[r] = raised1[r];
            }
    }
    return 0;
}

static int fit_any(const struct solve_opts *o, struct solve_job *j, size_t first, size_t start,
                   const double *lo, const double *hi, const double *x, size_t n, double *s,
                   double *z, int *raised, struct err *e)
{
    const struct fit_range range = {first, start, n, lo, hi, x};

    switch (o->fit) {
    case FIT_MSE:
        return fit_mse(o, j, first, lo, hi, x, n, s, z, raised, e);
    case FIT_HESSIAN:
        return fit_hessian(o, j, &range, s, z, raised, e);
    case FIT_NEUQI:
        return fit_neuqi(o, j, &range, s, z, raised, e);
    case FIT_MINMAX:
        break;
    }
    return fit_step(o, j, first, lo, hi, 1.0, s, z, raised, e);
}

int solve_grid_fit(const struct solve_opts *o, struct solve_job *j, size_t first, size_t start,
                   const double *x, size_t n, double *s, double *z, struct err *e)
{
    double lo[R], hi[R];
    int raised[R];
    size_t count = 0;

    solve_tile_range(x, n, lo, hi);
    for (size_t r = 0; r < R; r++)
        o->grid->range(&lo[r], &hi[r]);
    if (fit_any(o, j, first, start, lo, hi, x, n, s, z, raised, e))
        return -1;
    for (size_t r = 0; r < R; r++)
        count += (size_t)(raised[r] && first + r < j->N);
    if (count)
        atomic_fetch_add(&j->raised, count);
    return 0;
}

void solve_grid_values(const struct solve_opts *o, const struct solve_job *j, size_t n, size_t g,
                       double scale, double *w)
{
    const size_t width = o->group > 0 ? (size_t)o->group : j->K, start = g * width,
                 count = j->K - start < width ? j->K - start : width;
    const struct grid_group group = {.bits = o->bits,
                                     .scale = scale,
                                     .zero =
                                         j->zeros ? j->zeros[n * j->G + g] : o->grid->zero(o->bits),
                                     .tensor_scale = 1.0,
                                     .table = j->table ? j->table + (n << o->bits) : NULL};

    o->grid->value(&group, j->codes + n * j->K + start, count, w);
    sparse_put(&j->apart, n, start, count, w);
}
