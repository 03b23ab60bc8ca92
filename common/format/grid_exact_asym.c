/* SPDX-License-Identifier: Apache-2.0 */
/* grid_exact_asym - as asym, 4 bits, with scales of SHORT significant bits: a zero point has four
 * more at most, so that scale x zero is a number of F16 exactly. That is what the blocks Q4_1 of
 * GGUF keep: d x code + m, m = -d x zero. */
#include <math.h>

#include "grid_affine.h"

#define SHORT 7 /* F16 has 11 */
#define BITS 4

/* Rounded to SHORT significant bits, half to even, then as any scale is. */
static int store(enum dtype type, double *scale, int *raised)
{
    int exponent;
    const double part = frexp(*scale, &exponent);

    *scale = ldexp(nearbyint(ldexp(part, SHORT)), exponent - SHORT);
    return grid_store_scale(type, scale, raised);
}

static int place(const struct grid_fit *f, double lo, double hi, double p, double *scale,
                 double *zero, int *raised)
{
    return affine_place(f, store, lo, hi, p, scale, zero, raised);
}

extern const struct grid grid_exact_asym;
const struct grid grid_exact_asym = {
    .name = "exact-asym",
    .about = "as asym, with short scales: GGUF can hold it (4 bits)",
    .bits = GRID_BIT(BITS),
    .scale_types = GRID_BIT(DT_F16),
    .step = 1,
    .zeros = 1,
    .exact_zeros = 1,
    .value = affine_value,
    .nearest = affine_nearest,
    .ends = affine_ends,
    .range = affine_range_not_empty,
    .place = place,
    .store = store,
};
