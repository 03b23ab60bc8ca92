/* SPDX-License-Identifier: Apache-2.0 */
/* solve_grid - scales and zero points of groups of weights, for a tile of rows at a time. What a
 * range means to a grid is the grid's (common/format/grid_*.c); which range is taken is decided
 * here. A scale that is raised from 0 is counted by the job; one that overflows its type is an
 * error that names linear, row and what to do. */
#ifndef PTQ_SOLVE_GRID_H
#define PTQ_SOLVE_GRID_H

#include "solve_tile.h"
#include "solver.h"

/* What the codes of group g of row n are worth at this scale, and the weights beside them: w gets
 * a group of numbers. */
void solve_grid_values(const struct solve_opts *o, const struct solve_job *j, size_t n, size_t g,
                       double scale, double *w);

/* Fits one grid per row to n columns (tile layout), columns start, start+1, ... of the linear: s
 * and z get SOLVE_TILE entries. first: number of the tile's first row, for errors. FIT_HESSIAN
 * and FIT_NEUQI read H and diag of the job. */
int solve_grid_fit(const struct solve_opts *o, struct solve_job *j, size_t first, size_t start,
                   const double *x, size_t n, double *s, double *z, struct err *e);

#endif
