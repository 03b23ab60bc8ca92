/* SPDX-License-Identifier: Apache-2.0 */
/* solve_tile - a few rows of a weight matrix, laid out for the sweep: column k of the tile is
 * SOLVE_TILE consecutive doubles, one per row, so that every inner loop runs over rows and
 * vectorises. Rows past the end of the matrix hold 0.
 *
 * The loops here take the widest vectors the CPU has. They use no fused multiply-add: each version
 * gives the same bits. */
#ifndef PTQ_SOLVE_TILE_H
#define PTQ_SOLVE_TILE_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/format/grid.h"

/* Rows; a part of the numbers only through BLAS, and fixed, so the thread count never shows. */
#define SOLVE_TILE GRID_LANES

size_t solve_tile_count(size_t N);
/* Rows [first, first+SOLVE_TILE) of W [N,K] (any float type) into a tile of K columns, ld apart; -1
 * when w_type is no float type. */
int solve_tile_load(enum dtype w_type, const void *W, size_t N, size_t K, size_t first,
                    double *tile, size_t ld);

/* sums[r] += |q - w|^2.4 / a^2.4 over the n columns of x, q the level of the grid next to w.
 * unit[r] = 1/a. */
void solve_tile_error(const double *x, size_t n, const struct grid *grid,
                      const struct grid_lanes *lanes, const double *unit, double *sums);
/* sums[r] += h[k] (q - w)^2 over the n columns of x */
void solve_tile_weighted(const double *x, size_t n, const struct grid *grid,
                         const struct grid_lanes *lanes, const double *h, double *sums);
/* lo = min(0, columns), hi = max(0, columns) */
void solve_tile_range(const double *x, size_t n, double *lo, double *hi);
/* Of a column that started from w0, came to w and was rounded to q, by a direct factor: e = q - w0
 * is what it hands on; fed += ((w - q) / u)^2, more += by (w0 - q)^2, square += (w0 - q)^2. */
void solve_tile_direct(const double *w, const double *w0, const double *q, double u, double by,
                       double *e, double *fed, double *more, double *square);
/* Columns x[k] -= e u[k] for k < n. */
void solve_tile_spread(double *x, size_t n, const double *e, const double *u);

#endif
