/* SPDX-License-Identifier: Apache-2.0 */
/* grid_fp8 - FP8 (E4M3): the largest weight of a group on 448. Engines multiply such weights with
 * activations that they round to FP8 themselves, token by token. */
#include "grid_float.h"

extern const struct grid grid_fp8;

static int place(const struct grid_fit *f, double lo, double hi, double p, double *scale,
                 double *zero, int *raised)
{
    (void)lo;
    return float_place(&grid_fp8, E4M3_TOP, f, hi, p, scale, zero, raised);
}

const struct grid grid_fp8 = {
    .name = "fp8",
    .about = "floating point, E4M3: --bits 8 --group -1",
    .bits = GRID_BIT(8),
    .scale_types = GRID_BIT(DT_F16) | GRID_BIT(DT_BF16) | GRID_BIT(DT_F32),
    .step = 32,
    .no_number = 0x7f,
    .zero = float_zero,
    .value = float_e4m3_value,
    .nearest = float_e4m3_nearest,
    .ends = float_e4m3_ends,
    .range = float_range,
    .place = place,
};
