/* SPDX-License-Identifier: Apache-2.0 */
/* grid_list - the only list of grids, of the widths of codes and of the types of scales. */
#include "grid.h"

#include <stdio.h>
#include <string.h>

extern const struct grid grid_sym_narrow, grid_asym, grid_exact_asym, grid_fp8, grid_nvfp4,
    grid_mxfp4, grid_kmeans;

static const struct grid *const grids[] = {
    &grid_sym, &grid_sym_narrow, &grid_asym,  &grid_exact_asym,
    &grid_fp8, &grid_nvfp4,      &grid_mxfp4, &grid_kmeans,
};

static const int widths[] = {2, 3, 4, 8};
static const char *const width_names[] = {"2", "3", "4", "8", NULL};
static const enum dtype scales[] = {DT_F16, DT_BF16, DT_F32, DT_F64};
static const char *const scale_names[] = {"f16", "bf16", "f32", "f64", NULL};

#define COUNT(list) (sizeof(list) / sizeof *(list))

const struct grid *grid_find(const char *name)
{
    for (size_t i = 0; name && i < COUNT(grids); i++)
        if (strcmp(grids[i]->name, name) == 0)
            return grids[i];
    return NULL;
}

const struct grid *grid_at(size_t i)
{
    return i < COUNT(grids) ? grids[i] : NULL;
}

int grid_takes_bits(const struct grid *g, int bits)
{
    return bits >= 1 && bits <= 8 && (g->bits & GRID_BIT(bits)) != 0;
}

const char *const *grid_names(void)
{
    static const char *names[COUNT(grids) + 1];

    for (size_t i = 0; i < COUNT(grids); i++)
        names[i] = grids[i]->name;
    return names;
}

const char *const *grid_bits_names(void)
{
    return width_names;
}

const char *const *grid_scale_names(void)
{
    return scale_names;
}

int grid_bits_at(size_t i)
{
    return i < COUNT(widths) ? widths[i] : 0;
}

enum dtype grid_scale_at(size_t i)
{
    return i < COUNT(scales) ? scales[i] : DT_COUNT;
}

const char *grid_choice(size_t i, int *value)
{
    *value = (int)i;
    return i < COUNT(grids) ? grids[i]->name : NULL;
}

const char *grid_bits_choice(size_t i, int *value)
{
    *value = grid_bits_at(i);
    return i < COUNT(widths) ? width_names[i] : NULL;
}

const char *grid_scale_choice(size_t i, int *value)
{
    *value = (int)grid_scale_at(i);
    return i < COUNT(scales) ? scale_names[i] : NULL;
}

char *grid_name_list(const char *const *names, const char *last, char *out, size_t room)
{
    size_t n = 0;

    if (room)
        *out = '\0';
    for (size_t i = 0; names[i] && n < room; i++) {
        const int word = last && i && !names[i + 1];

        n += (size_t)snprintf(out + n, room - n, "%s%s%s%s", !i || word ? "" : ", ",
                              word ? " " : "", word ? last : "", word ? " " : "");
        if (n < room)
            n += (size_t)snprintf(out + n, room - n, "%s", names[i]);
    }
    return out;
}
