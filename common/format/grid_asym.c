/* SPDX-License-Identifier: Apache-2.0 */
/* grid_asym - 2^b equal steps over the range of the group, which holds 0: a zero point for each
 * group. A zero point below zero_min becomes it, and the scale grows to hi / (2^b - 1 - zero_min),
 * so that the largest weight is still in the grid. */
#include <math.h>

#include "grid_affine.h"

static int place(const struct grid_fit *f, double lo, double hi, double p, double *scale,
                 double *zero, int *raised)
{
    const double top = affine_top(f->bits), least = f->zero_min;

    *scale = (hi * p - lo * p) / top;
    if (grid_store_scale(f->scale_type, scale, raised))
        return -1;
    if (f->how == ZERO_GIVEN)
        return 0;
    *zero = f->how == ZERO_NEAREST ? nearbyint(-lo * p / *scale)
            : f->how == ZERO_DOWN  ? floor(-lo * p / *scale)
                                   : ceil(-lo * p / *scale);
    if (*zero < least) {
        *zero = least;
        *scale = hi * p / (top - least);
        if (grid_store_scale(f->scale_type, scale, raised))
            return -1;
    }
    *zero = fmin(*zero, top);
    return 0;
}

extern const struct grid grid_asym;
const struct grid grid_asym = {
    .name = "asym",
    .about = "equal steps, a zero point for each group",
    .bits = AFFINE_BITS,
    .scale_types = AFFINE_SCALES,
    .zeros = 1,
    .value = affine_value,
    .nearest = affine_nearest,
    .ends = affine_ends,
    .range = affine_range_not_empty,
    .place = place,
};
