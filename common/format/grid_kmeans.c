/* SPDX-License-Identifier: Apache-2.0 */
/* grid_kmeans - levels of its own for each row, in any place: a table of 2^bits numbers, which a
 * solver chooses (SqueezeLLM, arXiv 2306.07629). The scale of a row is 1. What goes by scales and
 * ranges does not ask this grid. */
#include "grid.h"

extern const struct grid grid_kmeans;

static int no_zero(int bits)
{
    (void)bits;
    return 0;
}

static void value(const struct grid_group *g, const uint8_t *codes, size_t n, double *w)
{
    for (size_t k = 0; k < n; k++)
        w[k] = g->scale * (double)g->table[codes[k]];
}

const struct grid grid_kmeans = {
    .name = "kmeans",
    .about = "a table of levels for each row: --solver squeeze",
    .bits = GRID_BIT(2) | GRID_BIT(3) | GRID_BIT(4),
    .scale_types = GRID_BIT(DT_F16) | GRID_BIT(DT_BF16) | GRID_BIT(DT_F32) | GRID_BIT(DT_F64),
    .table = 1,
    .zero = no_zero,
    .value = value,
};
