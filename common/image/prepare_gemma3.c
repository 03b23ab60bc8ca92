/* SPDX-License-Identifier: Apache-2.0 */
/* prepare_gemma3 - Gemma 3: squeezed to the tile; with pan and scan, crops of a long picture
 * behind it, each with its own tokens. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "prepare_kind.h"

static int pan_read(struct prepare *p, const struct json *json, struct err *e)
{
    int64_t least, most;

    if (json_opt_bool(json, "do_pan_and_scan", 0, &p->split, p->what, e) < 0)
        return -1;
    if (!p->split)
        return 0;
    if (json_opt_int(json, "pan_and_scan_min_crop_size", 1, (int64_t)IMAGE_SIDE, 256, &least,
                     p->what, e) < 0 ||
        json_opt_int(json, "pan_and_scan_max_num_crops", 2, 64, 4, &most, p->what, e) < 0 ||
        json_opt_real(json, "pan_and_scan_min_ratio_to_activate", 1.2, &p->crop_ratio, p->what, e) <
            0)
        return -1;
    p->crop_least = (size_t)least;
    p->crops_most = (size_t)most;
    return 0;
}

static int open_gemma3(struct prepare *p, const struct json *json, const struct json *config,
                       struct err *e)
{
    if (prepare_square(p, json, "size", e) < 0 ||
        prepare_count(p, config, "mm_tokens_per_image", "", &p->seq, e) < 0)
        return -1;
    return pan_read(p, json, e);
}

/* Crops along the longer edge, and the length of each; 0: none. */
static size_t crops(const struct prepare *p, size_t longer, size_t shorter, size_t *length)
{
    const double ratio = (double)longer / (double)shorter;
    size_t n = (size_t)floor(ratio + 0.5), fit = p->split ? longer / p->crop_least : 0;

    if (!p->split || ratio < p->crop_ratio)
        return 0;
    n = fit < n ? fit : n;
    n = n < 2 ? 2 : n;
    n = n > p->crops_most ? p->crops_most : n;
    *length = (longer + n - 1) / n;
    return (*length < shorter ? *length : shorter) < p->crop_least ? 0 : n;
}

static int measure_gemma3(const struct prepare *p, size_t width, size_t height, size_t beside,
                          struct prepared_shape *s, struct err *e)
{
    const int wide = width >= height;
    size_t length, n = crops(p, wide ? width : height, wide ? height : width, &length);

    (void)beside;
    (void)e;
    prepare_tiles(p, n + 1, !n ? 0 : wide ? 1 : n, !n ? 0 : wide ? n : 1, s);
    s->tokens = (n + 1) * p->seq;
    return 0;
}

static int crop(const struct prepare *p, const struct image *x, size_t i, size_t length, float *out,
                struct err *e)
{
    const int wide = x->width >= x->height;
    const size_t at = i * length, longer = wide ? x->width : x->height;
    const size_t take = longer - at < length ? longer - at : length;
    struct image a;
    int rc;

    if (image_alloc(&a, wide ? take : x->width, wide ? x->height : take, e) < 0)
        return -1;
    for (size_t y = 0; y < a.height; y++)
        memcpy(a.rgb + 3 * y * a.width,
               x->rgb + 3 * ((y + (wide ? 0 : at)) * x->width + (wide ? at : 0)), 3 * a.width);
    rc = prepare_whole(p, &a, i + 1, out, e);
    image_release(&a);
    return rc;
}

static int pixels_gemma3(const struct prepare *p, const struct image *x,
                         const struct prepared_shape *s, float *out, struct err *e)
{
    const int wide = x->width >= x->height;
    const size_t n = (size_t)s->shape[0] - 1, longer = wide ? x->width : x->height;

    if (prepare_whole(p, x, 0, out, e) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (crop(p, x, i, (longer + n - 1) / n, out, e) < 0)
            return -1;
    return 0;
}

static int block_add(const struct prepare *p, struct prepare_text *t, struct err *e)
{
    return prepare_add(t, "\n\n<start_of_image>", 1, e) < 0 ||
                   prepare_add(t, "<image_soft_token>", p->seq, e) < 0 ||
                   prepare_add(t, "<end_of_image>\n\n", 1, e) < 0
               ? -1
               : 0;
}

static char *text_gemma3(const struct prepare *p, const struct prepared_shape *s, struct err *e)
{
    const size_t n = (size_t)s->shape[0] - 1;
    struct prepare_text t = {0};
    int bad = 0;

    if (n)
        bad = prepare_add(&t, "Here is the original image ", 1, e) < 0;
    bad = bad || block_add(p, &t, e) < 0;
    if (n && !bad)
        bad = prepare_add(&t, " and here are some crops to help you see better ", 1, e) < 0;
    for (size_t i = 0; i < n && !bad; i++)
        bad = (i && prepare_add(&t, " ", 1, e) < 0) || block_add(p, &t, e) < 0;
    if (!bad)
        return t.text;
    free(t.text);
    return NULL;
}

static const char *const types[] = {"Gemma3ImageProcessor", NULL};
const struct prepare_kind prepare_gemma3 = {
    .types = types,
    .mark = "<start_of_image>",
    .open = open_gemma3,
    .measure = measure_gemma3,
    .pixels = pixels_gemma3,
    .text = text_gemma3,
};
