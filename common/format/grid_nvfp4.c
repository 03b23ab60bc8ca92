/* SPDX-License-Identifier: Apache-2.0 */
/* grid_nvfp4 - FP4 (E2M1) in groups of 16 with scales in FP8 (E4M3), and one more scale for the
 * tensor, which brings these into the range of their type. It is a power of two here, so that its
 * inverse, which formats keep, is exact, and the same for all linears of a site, since engines fuse
 * those and then know one alone. */
#include <math.h>

#include "grid_float.h"

extern const struct grid grid_nvfp4;

/* The least power of two with which the scale of the largest weight is at most 448. */
static double tensor_scale(double most)
{
    int exponent;

    if (!(most > 0.0) || frexp(most / (E4M3_TOP * E2M1_TOP), &exponent) <= 0.0)
        return 1.0;
    return ldexp(1.0, exponent < -100 ? -100 : exponent > 100 ? 100 : exponent);
}

/* Only weights that a solver has moved, or groups of zeros, can ask for more than 448. */
static int store(enum dtype type, double *scale, int *raised)
{
    *scale = *scale > E4M3_TOP ? E4M3_TOP : *scale;
    return grid_store_scale(type, scale, raised);
}

static int place(const struct grid_fit *f, double lo, double hi, double p, double *scale,
                 double *zero, int *raised)
{
    (void)lo;
    return float_place(&grid_nvfp4, E2M1_TOP, f, hi, p, scale, zero, raised);
}

const struct grid grid_nvfp4 = {
    .name = "nvfp4",
    .about = "floating point, E2M1 with scales in FP8: --bits 4 --group 16",
    .bits = GRID_BIT(4),
    .scale_types = GRID_BIT(DT_F8_E4M3),
    .group = 16,
    .step = 2,
    .tensor_scale = tensor_scale,
    .zero = float_zero,
    .value = float_e2m1_value,
    .nearest = float_e2m1_nearest,
    .ends = float_e2m1_ends,
    .range = float_range,
    .place = place,
    .store = store,
};
