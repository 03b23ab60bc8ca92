/* SPDX-License-Identifier: Apache-2.0 */
/* solve_grid - fitting of grids: see solve_grid.h. minmax takes the range as it is, mse shrinks it
 * by steps of 1% and keeps the first strict minimum of sum |q - w|^2.4 (the reference's exponent
 * and 80 steps). Fits that weigh errors: solve_fit.c. */
#include "solve_grid.h"
#include "solve_fit.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define R SOLVE_TILE
#define MSE_STEPS 80
#define NARROW_MIN 1e-5 /* smallest range of sym-narrow, as in the code it comes from */

double solve_grid_top(const struct solve_opts *o)
{
    return (double)((1 << o->bits) - 1);
}

static double smallest_normal(enum dtype type)
{
    switch (type) {
    case DT_F16:
        return 0x1p-14;
    case DT_F64:
        return DBL_MIN;
    default:
        return FLT_MIN;
    }
}

int solve_grid_store(enum dtype type, double *s, int *raised)
{
    uint64_t stored = 0;
    double back;

    if (dtype_from_f64(type, s, 1, &stored) || dtype_to_f64(type, &stored, 1, &back) ||
        !isfinite(back))
        return -1;
    *raised = !(back > 0.0);
    *s = *raised ? smallest_normal(type) : back;
    return 0;
}

/* The grid of one row for the range [lo, hi], lo <= 0 <= hi, shrunk by p. */
static int row_grid(const struct solve_opts *o, double lo, double hi, double p, enum zero_round how,
                    double *s, double *z, int *raised)
{
    const double top = solve_grid_top(o);
    const double half = (double)(1 << (o->bits - 1));
    const double least = (double)o->zero_min;

    if (o->grid == GRID_SYM_NARROW) {
        *z = half;
        *s = p * fmax(fmax(-lo, hi), NARROW_MIN) / (half - 1.0);
        return solve_grid_store(o->scale_type, s, raised);
    }
    *s = (hi * p - lo * p) / top;
    if (solve_grid_store(o->scale_type, s, raised))
        return -1;
    if (o->grid == GRID_SYM) {
        *z = half;
        return 0;
    }
    if (how == ZERO_GIVEN)
        return 0;
    *z = how == ZERO_NEAREST ? nearbyint(-lo * p / *s)
         : how == ZERO_DOWN  ? floor(-lo * p / *s)
                             : ceil(-lo * p / *s);
    if (*z < least) {
        *z = least;
        *s = hi * p / (top - least);
        if (solve_grid_store(o->scale_type, s, raised))
            return -1;
    }
    *z = fmin(*z, top);
    return 0;
}

/* Range to cut into steps: all-zero groups get [-1, 1]; sym mirrors the negative side when there is
 * one (the reference leaves the range of a group without negative weights as it is). */
static void row_range(const struct solve_opts *o, double *lo, double *hi)
{
    if (o->grid == GRID_SYM_NARROW)
        return;
    if (o->grid == GRID_SYM) {
        const double a = fmax(-*lo, *hi);
        if (*lo < 0.0)
            *lo = -a;
        *hi = a;
    }
    if (*lo == 0.0 && *hi == 0.0) {
        *lo = -1.0;
        *hi = 1.0;
    }
}

static int overflow(const struct solve_opts *o, const struct solve_job *j, size_t row,
                    struct err *e)
{
    return err_set(e, ERR_DATA,
                   "%s: row %zu: a scale is too large for %s; use --scale-type bf16 or f32",
                   j->name, row, dtype_name(o->scale_type));
}

int solve_grid_shrink(const struct solve_opts *o, const struct solve_job *j, size_t first,
                      const double *lo, const double *hi, const double *p, enum zero_round how,
                      double *s, double *z, int *raised, struct err *e)
{
    for (size_t r = 0; r < R; r++)
        if (row_grid(o, lo[r], hi[r], p[r], how, &s[r], &z[r], &raised[r]))
            return overflow(o, j, first + r, e);
    return 0;
}

static int fit_step(const struct solve_opts *o, const struct solve_job *j, size_t first,
                    const double *lo, const double *hi, double p, double *s, double *z, int *raised,
                    struct err *e)
{
    double same[R];

    for (size_t r = 0; r < R; r++)
        same[r] = p;
    return solve_grid_shrink(o, j, first, lo, hi, same, ZERO_NEAREST, s, z, raised, e);
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
    const double top = solve_grid_top(o);
    double best[R], sums[R], s1[R], z1[R], unit[R];
    int raised1[R];

    unit_of(lo, hi, unit);
    for (size_t i = 0; i < MSE_STEPS; i++) {
        if (fit_step(o, j, first, lo, hi, 1.0 - (double)i / 100.0, s1, z1, raised1, e))
            return -1;
        memset(sums, 0, sizeof sums);
        tile_error(x, n, s1, z1, top, unit, sums);
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

    tile_range(x, n, lo, hi);
    for (size_t r = 0; r < R; r++)
        row_range(o, &lo[r], &hi[r]);
    if (fit_any(o, j, first, start, lo, hi, x, n, s, z, raised, e))
        return -1;
    for (size_t r = 0; r < R; r++)
        count += (size_t)(raised[r] && first + r < j->N);
    if (count)
        atomic_fetch_add(&j->raised, count);
    return 0;
}
