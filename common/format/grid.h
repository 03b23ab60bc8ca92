/* SPDX-License-Identifier: Apache-2.0 */
/* grid - integer grids of weights, and the one place that dequantizes. value = scale * (code -
 * zero). */
#ifndef PTQ_GRID_H
#define PTQ_GRID_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../tensor/dtype.h"

enum grid { GRID_SYM, GRID_SYM_NARROW, GRID_ASYM, GRID_COUNT };
const char *grid_name(enum grid g); /* "sym", "sym-narrow", "asym" */
int grid_parse(const char *name, enum grid *g);

/* Number of groups: 1 for group -1, else ceil(K / group). */
size_t grid_groups(size_t K, int64_t group);

/* W[N,K] f32 = (float)(scale * (code - zero)), product in f64 then rounded once. codes U8 [N,K];
 * scales [N,G] of a float type; zeros U8 [N,G]. */
int grid_dequantize(size_t N, size_t K, int64_t group, const uint8_t *codes, enum dtype scale_type,
                    const void *scales, const uint8_t *zeros, float *w, struct err *e);

#endif
