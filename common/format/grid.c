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
    case DT_F8_E4M3: /* with so few, subnormal ones count */
        return 0x1p-9;
    case DT_F8_E8M0:
        return 0x1p-127;
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

int grid_round_scale(const struct grid *g, enum dtype type, double tensor_scale, double *scale,
                     int *raised)
{
    const double unit = g->tensor_scale ? tensor_scale : 1.0;

    *scale /= unit;
    if ((g->store ? g->store : grid_store_scale)(type, scale, raised))
        return -1;
    *scale *= unit;
    return 0;
}

enum dtype grid_scale_type(const struct grid *g, enum dtype asked)
{
    static const enum dtype own[] = {DT_F8_E4M3, DT_F8_E8M0};

    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (g->scale_types & GRID_BIT(own[i]))
            return own[i];
    return asked;
}
