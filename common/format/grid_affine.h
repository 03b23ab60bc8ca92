/* SPDX-License-Identifier: Apache-2.0 */
/* grid_affine - what the grids of equal steps share; for them, and for a solver that needs equal
 * steps. */
#ifndef PTQ_GRID_AFFINE_H
#define PTQ_GRID_AFFINE_H

#include "../base/each_cpu.h"
#include "grid.h"

#define AFFINE_BITS (GRID_BIT(2) | GRID_BIT(3) | GRID_BIT(4) | GRID_BIT(8))
#define AFFINE_SCALES (GRID_BIT(DT_F16) | GRID_BIT(DT_BF16) | GRID_BIT(DT_F32) | GRID_BIT(DT_F64))

/* Is the grid one of these? */
int affine_is(const struct grid *g);
/* What a code is worth: the one place that says it. */
EACH_INLINE double affine_level(double scale, double code, double zero)
{
    return scale * (code - zero);
}

void affine_value(const struct grid_group *g, const uint8_t *codes, size_t n, double *w);
void affine_nearest(const struct grid_lanes *g, const double *w, double *q, uint8_t *code);
void affine_ends(const struct grid_lanes *g, double *low, double *high);
/* The largest code. */
double affine_top(int bits);
int affine_middle(int bits); /* 2^(bits-1) */
/* As place of struct grid, of grids with zero points: a zero point below zero_min becomes it, and
 * the scale grows to hi / (2^b - 1 - zero_min), so that the largest weight is still in the grid.
 * store rounds a scale. */
int affine_place(const struct grid_fit *f,
                 int (*store)(enum dtype type, double *scale, int *raised), double lo, double hi,
                 double p, double *scale, double *zero, int *raised);
/* All-zero groups get [-1, 1]. */
void affine_range_not_empty(double *lo, double *hi);

#endif
