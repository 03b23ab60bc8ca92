/* SPDX-License-Identifier: Apache-2.0 */
/* grid_mxfp4 - FP4 (E2M1) in groups of 32 whose scales are powers of two (E8M0), after the OCP
 * microscaling formats: the power of two below the largest weight comes to lie on 4, so that what
 * lies above 6 is cut off. A search (--fit mse) may choose the next power instead. */
#include "grid_float.h"

extern const struct grid grid_mxfp4;

/* The nearest power of two: E8M0 by itself takes the one at or below. */
static int store(enum dtype type, double *scale, int *raised)
{
    *scale *= 4.0 / 3.0;
    return grid_store_scale(type, scale, raised);
}

static int place(const struct grid_fit *f, double lo, double hi, double p, double *scale,
                 double *zero, int *raised)
{
    (void)lo;
    *scale = hi * p / 4.0;
    *zero = 0.0;
    return grid_store_scale(f->scale_type, scale, raised);
}

const struct grid grid_mxfp4 = {
    .name = "mxfp4",
    .about = "floating point, E2M1 with powers of two as scales: --bits 4 --group 32",
    .bits = GRID_BIT(4),
    .scale_types = GRID_BIT(DT_F8_E8M0),
    .group = 32,
    .step = 2,
    .zero = float_zero,
    .value = float_e2m1_value,
    .nearest = float_e2m1_nearest,
    .ends = float_e2m1_ends,
    .range = float_range,
    .place = place,
    .store = store,
};
