/* SPDX-License-Identifier: Apache-2.0 */
/* grid - what every grid needs: groups, and scales as their type stores them. */
#include "grid.h"

#include <float.h>
#include <math.h>

size_t grid_groups(size_t K, int64_t group)
{
    size_t g;

    if (group < 1 || (uint64_t)group >= K)
        return 1;
    g = (size_t)group;
    return K / g + (K % g != 0);
}

static double smallest_normal(enum dtype type)
{
    switch (type) {
    case DT_F16:
        return 0x1p-14;
    case DT_F64:
        return DBL_MIN;
    default:
        return FLT_MIN;
    }
}

int grid_store_scale(enum dtype type, double *scale, int *raised)
{
    uint64_t stored = 0;
    double back;

    if (dtype_from_f64(type, scale, 1, &stored) || dtype_to_f64(type, &stored, 1, &back) ||
        !isfinite(back))
        return -1;
    *raised = !(back > 0.0);
    *scale = *raised ? smallest_normal(type) : back;
    return 0;
}

int grid_round_scale(const struct grid *g, enum dtype type, double *scale, int *raised)
{
    return (g->store ? g->store : grid_store_scale)(type, scale, raised);
}
