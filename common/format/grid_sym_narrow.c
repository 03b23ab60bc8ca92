/* SPDX-License-Identifier: Apache-2.0 */
/* grid_sym_narrow - equal steps about 0 whose outermost used codes hold the largest weight exactly:
 * 2^b - 2 steps (the symmetric weight quantizer of QuaRot's code, arXiv 2404.00456). */
#include <math.h>

#include "grid_affine.h"

#define NARROW_MIN 1e-5 /* smallest range, as in the code it comes from */

static void range(double *lo, double *hi)
{
    (void)lo;
    (void)hi;
}

static int place(const struct grid_fit *f, double lo, double hi, double p, double *scale,
                 double *zero, int *raised)
{
    const double half = affine_middle(f->bits);

    *scale = p * fmax(fmax(-lo, hi), NARROW_MIN) / (half - 1.0);
    *zero = half;
    return grid_store_scale(f->scale_type, scale, raised);
}

extern const struct grid grid_sym_narrow;
const struct grid grid_sym_narrow = {
    .name = "sym-narrow",
    .about = "equal steps, the middle code is 0, the largest weight is a level",
    .bits = AFFINE_BITS,
    .scale_types = AFFINE_SCALES,
    .step = 1,
    .zero = affine_middle,
    .value = affine_value,
    .nearest = affine_nearest,
    .ends = affine_ends,
    .range = range,
    .place = place,
};
