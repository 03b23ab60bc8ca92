/* SPDX-License-Identifier: Apache-2.0 */
/* grid_asym - 2^b equal steps over the range of the group, which holds 0: a zero point for each
 * group (affine_place). */
#include "grid_affine.h"

static int place(const struct grid_fit *f, double lo, double hi, double p, double *scale,
                 double *zero, int *raised)
{
    return affine_place(f, grid_store_scale, lo, hi, p, scale, zero, raised);
}

extern const struct grid grid_asym;
const struct grid grid_asym = {
    .name = "asym",
    .about = "equal steps, a zero point for each group",
    .bits = AFFINE_BITS,
    .scale_types = AFFINE_SCALES,
    .step = 1,
    .zeros = 1,
    .value = affine_value,
    .nearest = affine_nearest,
    .ends = affine_ends,
    .range = affine_range_not_empty,
    .place = place,
};
