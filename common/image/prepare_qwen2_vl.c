/* SPDX-License-Identifier: Apache-2.0 */
/* prepare_qwen2_vl - Qwen2-VL, Qwen2.5-VL, Qwen3-VL: both edges to whole cells (merge x merge
 * patches), the area between two bounds; rows are patches in the order of the cells, a row is
 * channel, time (the same picture for each frame), y, x. */
#include <math.h>
#include <string.h>

#include "prepare_kind.h"

#define STRETCH 200 /* an edge is at most so many times the other */

/* An older name for the bounds, and the newer one. */
static int bound(const struct prepare *p, const struct json *json, const char *old,
                 const char *name, size_t *v, struct err *e)
{
    const struct json *size = json_get(json, "size");

    if (json_has(json, old))
        return prepare_count(p, json, old, "", v, e);
    if (json_has(size, name))
        return prepare_count(p, size, name, "size.", v, e);
    return prepare_count(p, size, old, "size.", v, e);
}

static int open_qwen2_vl(struct prepare *p, const struct json *json, const struct json *config,
                         struct err *e)
{
    (void)config;
    if (prepare_count(p, json, "patch_size", "", &p->patch, e) < 0 ||
        prepare_count(p, json, "merge_size", "", &p->merge, e) < 0 ||
        prepare_count(p, json, "temporal_patch_size", "", &p->frames, e) < 0 ||
        bound(p, json, "min_pixels", "shortest_edge", &p->shortest, e) < 0 ||
        bound(p, json, "max_pixels", "longest_edge", &p->longest, e) < 0)
        return -1;
    if (p->patch > 1024 || p->merge > 64 || p->frames > 64)
        return err_set(e, ERR_USE,
                       "%s: \"patch_size\", \"merge_size\" and \"temporal_patch_size\" are at "
                       "most 1024, 64 and 64",
                       p->what);
    return 0;
}

static int measure_qwen2_vl(const struct prepare *p, size_t width, size_t height, size_t beside,
                            struct prepared_shape *s, struct err *e)
{
    const size_t cell = p->patch * p->merge, most = width > height ? width : height,
                 least = width > height ? height : width;
    const double f = (double)cell, area = (double)height * (double)width;
    double h = nearbyint((double)height / f) * f, w = nearbyint((double)width / f) * f;

    (void)beside;
    if (most > STRETCH * least)
        return err_set(e, ERR_USE,
                       "%zu x %zu pixels: the model takes pictures at most %d times as long as "
                       "wide",
                       width, height, STRETCH);
    if (h * w > (double)p->longest) {
        const double by = sqrt(area / (double)p->longest);

        h = fmax(f, floor((double)height / by / f) * f);
        w = fmax(f, floor((double)width / by / f) * f);
    } else if (h * w < (double)p->shortest) {
        const double by = sqrt((double)p->shortest / area);

        h = ceil((double)height * by / f) * f;
        w = ceil((double)width * by / f) * f;
    }
    if (image_check((size_t)w, (size_t)h, e) < 0)
        return err_prefix(e, "%zu x %zu pixels, resized", width, height);
    s->grid[0] = 1;
    s->grid[1] = (int32_t)((size_t)h / p->patch);
    s->grid[2] = (int32_t)((size_t)w / p->patch);
    s->ndim = 2;
    s->shape[0] = (size_t)s->grid[1] * (size_t)s->grid[2];
    s->shape[1] = 3 * p->frames * p->patch * p->patch;
    s->tokens = (size_t)s->shape[0] / (p->merge * p->merge);
    return 0;
}

/* The patch at row and column of the grid. */
static float *patch_fill(const struct prepare *p, const struct image *x, size_t row, size_t column,
                         float *out)
{
    const size_t n = p->patch * p->patch;

    for (size_t c = 0; c < 3; c++) {
        float *frame = out;

        for (size_t i = 0; i < p->patch; i++) {
            const uint8_t *at =
                x->rgb + 3 * ((row * p->patch + i) * x->width + column * p->patch) + c;

            for (size_t k = 0; k < p->patch; k++)
                *out++ = p->value[c][at[3 * k]];
        }
        for (size_t t = 1; t < p->frames; t++, out += n)
            memcpy(out, frame, n * sizeof *out);
    }
    return out;
}

static int pixels_qwen2_vl(const struct prepare *p, const struct image *x,
                           const struct prepared_shape *s, float *out, struct err *e)
{
    const size_t m = p->merge, rows = (size_t)s->grid[1], columns = (size_t)s->grid[2];
    struct image a;

    if (resize_image(x, columns * p->patch, rows * p->patch, p->filter, &a, e) < 0)
        return -1;
    for (size_t y = 0; y < rows; y += m)
        for (size_t k = 0; k < columns; k += m)
            for (size_t i = 0; i < m * m; i++)
                out = patch_fill(p, &a, y + i / m, k + i % m, out);
    image_release(&a);
    return 0;
}

static const char *const types[] = {"Qwen2VLImageProcessor", "Qwen2_5_VLImageProcessor",
                                    "Qwen3VLImageProcessor", NULL};
const struct prepare_kind prepare_qwen2_vl = {
    .types = types,
    .mark = "<|image_pad|>",
    .open = open_qwen2_vl,
    .measure = measure_qwen2_vl,
    .pixels = pixels_qwen2_vl,
    .text = prepare_marks,
};
