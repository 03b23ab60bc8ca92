/* SPDX-License-Identifier: Apache-2.0 */
/* solve_shrink - the grids of a tile of rows whose ranges are shrunk: what every way to fit them
 * (solve_grid.h, solve_fit.h) tries. */
#ifndef PTQ_SOLVE_SHRINK_H
#define PTQ_SOLVE_SHRINK_H

#include "solve_tile.h"
#include "solver.h"

/* One grid per row for the ranges [lo, hi] shrunk by p[r], its zero point rounded as said (of
 * grids without zeros it is fixed; ZERO_GIVEN: z as it is). -1: a scale overflows. */
int solve_shrink(const struct solve_opts *o, const struct solve_job *j, size_t first,
                 const double *lo, const double *hi, const double *p, enum zero_round how,
                 double *s, double *z, int *raised, struct err *e);

#endif
