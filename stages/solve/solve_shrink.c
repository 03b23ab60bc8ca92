/* SPDX-License-Identifier: Apache-2.0 */
/* solve_shrink - see solve_shrink.h. */
#include "solve_shrink.h"

#define R SOLVE_TILE

static int overflow(const struct solve_opts *o, const struct solve_job *j, size_t row,
                    struct err *e)
{
    return err_set(e, ERR_DATA,
                   "%s: row %zu: a scale is too large for %s; use --scale-type bf16 or f32",
                   j->name, row, dtype_name(grid_scale_type(o->grid, o->scale_type)));
}

int solve_shrink(const struct solve_opts *o, const struct solve_job *j, size_t first,
                 const double *lo, const double *hi, const double *p, enum zero_round how,
                 double *s, double *z, int *raised, struct err *e)
{
    const struct grid_fit f = {o->bits, grid_scale_type(o->grid, o->scale_type), (int)o->zero_min,
                               how, j->tensor_scale};

    for (size_t r = 0; r < R; r++)
        if (o->grid->place(&f, lo[r], hi[r], p[r], &s[r], &z[r], &raised[r]))
            return overflow(o, j, first + r, e);
    return 0;
}
