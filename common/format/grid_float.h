/* SPDX-License-Identifier: Apache-2.0 */
/* grid_float - what the grids share whose levels are floating-point numbers of few bits: the level
 * of a code, rounding, ranges. A code is the bits of the number. Its sign never stands on 0. */
#ifndef PTQ_GRID_FLOAT_H
#define PTQ_GRID_FLOAT_H

#include "grid.h"

#define E4M3_TOP 448.0 /* 1 sign, 4 exponent, 3 mantissa bits; 0x7f is no number */
#define E2M1_TOP 6.0   /* 0 .5 1 1.5 2 3 4 6 */

void float_e4m3_value(const struct grid_group *g, const uint8_t *codes, size_t n, double *w);
void float_e4m3_nearest(const struct grid_lanes *g, const double *w, double *q, uint8_t *code);
void float_e4m3_ends(const struct grid_lanes *g, double *low, double *high);
void float_e2m1_value(const struct grid_group *g, const uint8_t *codes, size_t n, double *w);
void float_e2m1_nearest(const struct grid_lanes *g, const double *w, double *q, uint8_t *code);
void float_e2m1_ends(const struct grid_lanes *g, double *low, double *high);
int float_zero(int bits); /* 0: there are no zero points */
/* The larger end on both sides; all-zero groups get [-1, 1]. */
void float_range(double *lo, double *hi);
/* As place of struct grid: the largest weight comes to lie on the largest level, `top`. */
int float_place(const struct grid *grid, double top, const struct grid_fit *f, double hi, double p,
                double *scale, double *zero, int *raised);

#endif
