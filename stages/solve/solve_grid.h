/* SPDX-License-Identifier: Apache-2.0 */
/* solve_grid - scales and zero points of groups of weights, for a tile of rows at a time.
 *
 * The grids are golden-solver/README's: sym = gptq_sym, sym-narrow = quarot_sym, asym. Additions of
 * ours:
 * - a scale is rounded to its storage type (to nearest) first, and zeros and codes follow from the
 * rounded scale;
 * - a scale that rounds to 0 becomes the smallest normal number of the type: all codes of the group
 * are then its zero point (its weights are below 2^-17 for f16 and 8 bits, and nothing subnormal is
 * stored); the job counts these;
 * - a scale that overflows the type is an error that names linear, row and what to do;
 * - asym with zero_min 1: a zero point that would be 0 becomes 1 and the scale grows to hi / (2^b -
 * 2), so that the largest weight is still in the grid. */
#ifndef PTQ_SOLVE_GRID_H
#define PTQ_SOLVE_GRID_H

#include "solve_tile.h"
#include "solver.h"

/* Zero point and largest code of the symmetric grids. */
double solve_grid_top(const struct solve_opts *o);

/* Rounds s to the storage type; *raised is set when it had to be raised from 0. -1: it overflows.
 */
int solve_grid_store(enum dtype type, double *s, int *raised);

enum zero_round { ZERO_NEAREST, ZERO_DOWN, ZERO_UP, ZERO_GIVEN };

/* One grid per row for the ranges [lo, hi] shrunk by p[r], its zero point rounded as said (of the
 * symmetric grids it is fixed; ZERO_GIVEN: z as it is, asym only). -1: a scale overflows. */
int solve_grid_shrink(const struct solve_opts *o, const struct solve_job *j, size_t first,
                      const double *lo, const double *hi, const double *p, enum zero_round how,
                      double *s, double *z, int *raised, struct err *e);

/* Fits one grid per row to n columns (tile layout), columns start, start+1, ... of the linear: s
 * and z get SOLVE_TILE entries. first: number of the tile's first row, for errors. FIT_HESSIAN
 * and FIT_NEUQI read H and diag of the job. */
int solve_grid_fit(const struct solve_opts *o, struct solve_job *j, size_t first, size_t start,
                   const double *x, size_t n, double *s, double *z, struct err *e);

#endif
