/* SPDX-License-Identifier: Apache-2.0 */
/* slide_loops - what a step does to each weight of a row or a group, for all kinds of vectors
 * (each_cpu.h): the same numbers on each. Private to the stage. */
#ifndef PTQ_SLIDE_LOOPS_H
#define PTQ_SLIDE_LOOPS_H

#include <stddef.h>
#include "../../common/base/each_cpu.h"

/* Adding 1.5 * 2^52 rounds half to even, as grids do. */
EACH_INLINE double round_even(double x)
{
    const double shift = 6755399441055744.0;

    x = x < -1024.0 ? -1024.0 : x;
    x = x > 1024.0 ? 1024.0 : x;
    return (x + shift) - shift;
}

/* x = w * by; by NULL: 1. */
void slide_times(double *restrict x, const float *restrict w, const float *restrict by, size_t n);
/* y = x / by, the same. */
void slide_over(float *restrict y, const double *restrict x, const float *restrict by, size_t n);
/* x += a * b of one term after the other, whose a are n apart and b are step apart. */
void slide_plus(double *restrict x, const float *restrict a, const float *restrict b, size_t step,
                size_t terms, size_t n);
/* sum += x * y, each by itself. */
void slide_products(double *restrict sum, const float *restrict x, const float *restrict y,
                    size_t n);
/* The sum of (y - z)^2; slope: y becomes 2 by (y - z). z NULL: 0. */
double slide_apart(float *restrict y, const float *restrict z, size_t n, int slope, double by);
/* The smallest and the largest of x, 0 among them. */
void slide_ends(const double *restrict x, size_t n, double *lo, double *hi);
/* The first of x that is v; n: none is. */
size_t slide_first(const double *x, size_t n, double v);
/* q: the codes of x. */
void slide_level(const double *restrict x, size_t n, double s, double z, double top,
                 double *restrict q);
/* What these stand for, over by; by NULL: 1. */
void slide_value(const double *restrict x, size_t n, double s, double z, double top,
                 const float *restrict by, float *restrict out);
/* g of Q / by becomes that of x, to, as far as it does not go by the scale; returns what the scale
 * gets. */
double slide_through(const double *restrict x, size_t n, double s, double z, double top,
                     const float *restrict g, const float *restrict by, float *restrict to);

#endif
