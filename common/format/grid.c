/* SPDX-License-Identifier: Apache-2.0 */
/* grid - names of the integer grids, and codes back to weights.
 *
 * The product is formed in f64 and rounded once: for F16 and BF16 scales it is exact in f32 anyway
 * (11 bits times at most 9), for F32 scales the rounding is the one that f32 arithmetic would do.
 * What it leaves out: choosing scales and codes, which is the solvers' work (stages/solve). */
#include "grid.h"

#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"

static const char *const names[GRID_COUNT] = {"sym", "sym-narrow", "asym"};

const char *grid_name(enum grid g)
{
    return (unsigned)g < GRID_COUNT ? names[g] : "unknown";
}

int grid_parse(const char *name, enum grid *g)
{
    for (unsigned i = 0; i < GRID_COUNT; i++) {
        if (name && strcmp(name, names[i]) == 0) {
            *g = (enum grid)i;
            return 0;
        }
    }
    return -1;
}

size_t grid_groups(size_t K, int64_t group)
{
    size_t g;

    if (group < 1 || (uint64_t)group >= K)
        return 1;
    g = (size_t)group;
    return K / g + (K % g != 0);
}

int grid_dequantize(size_t N, size_t K, int64_t group, const uint8_t *codes, enum dtype scale_type,
                    const void *scales, const uint8_t *zeros, float *w, struct err *e)
{
    size_t G = grid_groups(K, group), width = G == 1 ? K : (size_t)group;
    const unsigned char *row_scales = scales;
    double *scale;

    if (!dtype_is_float(scale_type))
        return err_set(e, ERR_USE, "scales of type %s: not a float type", dtype_name(scale_type));
    if (!(scale = mem_array(G, sizeof *scale, e)))
        return -1;
    for (size_t n = 0; n < N; n++) {
        const uint8_t *code = codes + n * K;
        float *out = w + n * K;

        dtype_to_f64(scale_type, row_scales + n * G * dtype_size(scale_type), G, scale);
        for (size_t g = 0, k = 0; g < G; g++) {
            size_t end = K - k < width ? K : k + width;
            double s = scale[g];
            int zero = zeros[n * G + g];

            for (; k < end; k++)
                out[k] = (float)(s * (double)(code[k] - zero));
        }
    }
    free(scale);
    return 0;
}
