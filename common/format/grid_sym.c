/* SPDX-License-Identifier: Apache-2.0 */
/* grid_sym - 2^b equal steps about 0, the middle code stands for 0: the range is made symmetric
 * and cut into 2^b - 1 steps, so the largest weight on the positive side may lie half a step
 * beyond the last level (the symmetric grid of GPTQ's code). A group without
 * negative weights keeps its range, as in the reference. */
#include <math.h>

#include "grid_affine.h"

static void range(double *lo, double *hi)
{
    const double a = fmax(-*lo, *hi);

    if (*lo < 0.0)
        *lo = -a;
    *hi = a;
    affine_range_not_empty(lo, hi);
}

static int place(const struct grid_fit *f, double lo, double hi, double p, double *scale,
                 double *zero, int *raised)
{
    *scale = (hi * p - lo * p) / affine_top(f->bits);
    *zero = affine_middle(f->bits);
    return grid_store_scale(f->scale_type, scale, raised);
}

const struct grid grid_sym = {
    .name = "sym",
    .about = "equal steps, the middle code is 0",
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
