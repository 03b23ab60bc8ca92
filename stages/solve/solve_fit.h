/* SPDX-License-Identifier: Apache-2.0 */
/* solve_fit - grids of a group that weigh each weight's error by the Hessian. */
#ifndef PTQ_SOLVE_FIT_H
#define PTQ_SOLVE_FIT_H

#include "solve_tile.h"
#include "solver.h"

/* n columns from `start` on of the tile of rows that begins at `first`: their values x and, per
 * row, the range to shrink. */
struct fit_range {
    size_t first, start, n;
    const double *lo, *hi, *x;
};

/* s, z and raised get SOLVE_TILE entries. The job's H and diag must be there. */
int fit_hessian(const struct solve_opts *o, const struct solve_job *j, const struct fit_range *f,
                double *s, double *z, int *raised, struct err *e);
int fit_neuqi(const struct solve_opts *o, const struct solve_job *j, const struct fit_range *f,
              double *s, double *z, int *raised, struct err *e);

#endif
