/* SPDX-License-Identifier: Apache-2.0 */
/* prepare_onevision - LLaVA-OneVision: one picture is fitted into the best of the given sizes,
 * padded with black and cut into tiles, the whole picture squeezed to one comes first. Several in
 * one sequence are not divided: each is padded to a square and is one tile. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "prepare_kind.h"

static int pins_read(struct prepare *p, const struct json *list, struct err *e)
{
    for (size_t i = 0; i < json_count(list); i++) {
        int64_t h, w;

        if (i == PREPARE_PINS_MAX || json_as_int(json_at(json_at(list, i), 0), &h) < 0 ||
            json_as_int(json_at(json_at(list, i), 1), &w) < 0 || h < 1 || w < 1 ||
            h > (int64_t)IMAGE_SIDE || w > (int64_t)IMAGE_SIDE || (size_t)h % p->height ||
            (size_t)w % p->width || image_check((size_t)w, (size_t)h, NULL) < 0)
            return err_set(e, ERR_USE,
                           "%s: \"image_grid_pinpoints\" must be at most %d pairs of whole tiles",
                           p->what, PREPARE_PINS_MAX);
        p->pin[i][0] = (size_t)h;
        p->pin[i][1] = (size_t)w;
        p->pins = i + 1;
    }
    return p->pins ? 0 : err_set(e, ERR_USE, "%s: no \"image_grid_pinpoints\"", p->what);
}

static int open_onevision(struct prepare *p, const struct json *json, const struct json *config,
                          struct err *e)
{
    const struct json *tower = prepare_tower(p, config, e);
    const char *ratio = json_text_or(config, "vision_aspect_ratio", "anyres_max_9");
    int most;

    if (!tower || prepare_count(p, tower, "patch_size", "vision_config.", &p->patch, e) < 0 ||
        prepare_square(p, json, "size", e) < 0)
        return -1;
    if (sscanf(ratio, "anyres_max_%d", &most) != 1 || most < 1)
        return err_set(e, ERR_USE, "%s: \"vision_aspect_ratio\" is '%.40s', not anyres_max_N",
                       p->what, ratio);
    p->tiles_max = (size_t)most;
    p->seq = p->height / p->patch;
    if (p->height != p->width || !p->seq)
        return err_set(e, ERR_USE, "%s: \"size\" must be a square of whole patches", p->what);
    p->seq *= p->seq;
    return pins_read(p, json_get(json, "image_grid_pinpoints"), e);
}

/* The pair that keeps most of the picture, of those the one with the least padding. */
static const size_t *pin_best(const struct prepare *p, size_t width, size_t height)
{
    const size_t *best = p->pin[0];
    size_t most = 0, least = SIZE_MAX;

    for (size_t i = 0; i < p->pins; i++) {
        const size_t *pin = p->pin[i];
        const double sw = (double)pin[1] / (double)width, sh = (double)pin[0] / (double)height;
        const double scale = sw < sh ? sw : sh;
        size_t kept = (size_t)((double)width * scale) * (size_t)((double)height * scale), waste;

        kept = kept < width * height ? kept : width * height;
        waste = pin[0] * pin[1] - kept;
        if (kept < most || (kept == most && waste >= least))
            continue;
        most = kept;
        least = waste;
        best = pin;
    }
    return best;
}

/* Features of the tiles once the padding is cut off, with one more for the end of each row. */
static size_t features(const struct prepare *p, size_t width, size_t height, size_t down,
                       size_t across)
{
    const size_t side = p->height / p->patch;
    size_t h = side * down, w = side * across;
    double ratio;

    if ((double)width / (double)height > (double)w / (double)h) {
        const double to = (double)height * ((double)w / (double)width);

        h -= (h - (size_t)(nearbyint(to * 1e7) / 1e7)) / 2 * 2;
    } else {
        const double to = (double)width * ((double)h / (double)height);

        w -= (w - (size_t)(nearbyint(to * 1e7) / 1e7)) / 2 * 2;
    }
    ratio = sqrt((double)(h * w) / (double)(p->tiles_max * side * side));
    if (ratio > 1.1) {
        h = (size_t)floor((double)h / ratio);
        w = (size_t)floor((double)w / ratio);
    }
    return h * w + h;
}

static int measure_onevision(const struct prepare *p, size_t width, size_t height, size_t beside,
                             struct prepared_shape *s, struct err *e)
{
    const size_t *pin = pin_best(p, width, height), down = pin[0] / p->height,
                 across = pin[1] / p->width, edge = width > height ? width : height;

    if (beside > 1) {
        if (image_check(edge, edge, e) < 0)
            return err_prefix(e, "%zu x %zu pixels, padded to a square", width, height);
        prepare_tiles(p, 1, 0, 0, s);
        s->tokens = p->seq + 1;
        return 0;
    }
    prepare_tiles(p, down * across + 1, down, across, s);
    s->tokens = p->seq + features(p, width, height, down, across);
    return 0;
}

/* In the middle of a picture of one colour. */
static int padded(const struct image *from, size_t width, size_t height, const uint8_t colour[3],
                  struct image *to, struct err *e)
{
    const size_t left = (width - from->width) / 2, top = (height - from->height) / 2;

    if (image_alloc(to, width, height, e) < 0)
        return -1;
    for (size_t i = 0; i < width * height; i++)
        memcpy(to->rgb + 3 * i, colour, 3);
    for (size_t y = 0; y < from->height; y++)
        memcpy(to->rgb + 3 * ((top + y) * width + left), from->rgb + 3 * y * from->width,
               3 * from->width);
    return 0;
}

static int square(const struct prepare *p, const struct image *x, float *out, struct err *e)
{
    const size_t edge = x->width > x->height ? x->width : x->height;
    struct image a;
    int rc;

    if (padded(x, edge, edge, p->mean, &a, e) < 0)
        return -1;
    rc = prepare_whole(p, &a, 0, out, e);
    image_release(&a);
    return rc;
}

static size_t at_most(double v, size_t most)
{
    return ceil(v) < (double)most ? (size_t)ceil(v) : most;
}

static int pixels_onevision(const struct prepare *p, const struct image *x,
                            const struct prepared_shape *s, float *out, struct err *e)
{
    const size_t down = (size_t)s->grid[1], across = (size_t)s->grid[2];
    const size_t height = down * p->height, width = across * p->width;
    const double sw = (double)width / (double)x->width, sh = (double)height / (double)x->height;
    struct image a, b = {0};
    int rc = -1;

    if (!down)
        return square(p, x, out, e);
    if (resize_image(x, sw < sh ? width : at_most((double)x->width * sh, width),
                     sw < sh ? at_most((double)x->height * sw, height) : height, p->filter, &a,
                     e) < 0)
        return -1;
    if (padded(&a, width, height, (const uint8_t[3]){0}, &b, e) < 0 ||
        prepare_whole(p, x, 0, out, e) < 0)
        goto out;
    for (size_t i = 0; i < down * across; i++)
        prepare_tile(p, &b, i / across * p->height, i % across * p->width, i + 1, out);
    rc = 0;
out:
    image_release(&b);
    image_release(&a);
    return rc;
}

static const char *const types[] = {"LlavaOnevisionImageProcessor", NULL};
const struct prepare_kind prepare_onevision = {
    .types = types,
    .mark = "<image>",
    .open = open_onevision,
    .measure = measure_onevision,
    .pixels = pixels_onevision,
    .text = prepare_marks,
};
