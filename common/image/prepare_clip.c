/* SPDX-License-Identifier: Apache-2.0 */
/* prepare_clip - CLIP, as LLaVA 1.5 uses it: the shortest edge to a given length, then the middle;
 * SigLIP: squeezed to the tile. */
#include <stdlib.h>
#include <string.h>

#include "prepare_kind.h"

static int open_clip(struct prepare *p, const struct json *json, const struct json *config,
                     struct err *e)
{
    const struct json *tower = prepare_tower(p, config, e), *size = json_get(json, "size");
    int64_t edge = 0;
    int crop = 1;

    if (!tower || prepare_count(p, tower, "patch_size", "vision_config.", &p->patch, e) < 0 ||
        json_opt_bool(json, "do_center_crop", json_has(json, "crop_size"), &crop, p->what, e) < 0)
        return -1;
    if (json_as_int(json_get(size, "shortest_edge"), &edge) == 0 ||
        (crop && json_as_int(size, &edge) == 0)) {
        if (edge < 1 || edge > (int64_t)IMAGE_SIDE)
            return err_set(e, ERR_USE, "%s: \"size\" must be a whole number above 0", p->what);
        p->shortest = (size_t)edge;
        if (!crop)
            return err_set(e, ERR_USE,
                           "%s: pictures of any shape (\"shortest_edge\" without "
                           "\"do_center_crop\") are not supported",
                           p->what);
    }
    if (prepare_square(p, json, p->shortest ? "crop_size" : "size", e) < 0)
        return -1;
    p->seq = p->height / p->patch * (p->width / p->patch);
    /* the class token of the tower is one more where it is kept */
    if (strcmp(json_text_or(config, "vision_feature_select_strategy", "default"), "full") == 0)
        p->seq++;
    return p->seq ? 0 : err_set(e, ERR_USE, "%s: a picture has no token", p->what);
}

/* After the first resize: [0] height, [1] width. */
static void sizes(const struct prepare *p, size_t width, size_t height, size_t to[2])
{
    if (!p->shortest) {
        to[0] = p->height;
        to[1] = p->width;
    } else if (width <= height) {
        to[0] = (size_t)((double)(p->shortest * height) / (double)width);
        to[1] = p->shortest;
    } else {
        to[0] = p->shortest;
        to[1] = (size_t)((double)(p->shortest * width) / (double)height);
    }
}

static int measure_clip(const struct prepare *p, size_t width, size_t height, size_t beside,
                        struct prepared_shape *s, struct err *e)
{
    size_t to[2];

    (void)beside;
    sizes(p, width, height, to);
    if (image_check(to[1], to[0], e) < 0)
        return err_prefix(e, "%zu x %zu pixels, resized", width, height);
    prepare_tiles(p, 1, 0, 0, s);
    s->tokens = p->seq;
    return 0;
}

/* The middle; what lies outside of the picture is black. */
static int middle(const struct prepare *p, const struct image *from, struct image *to,
                  struct err *e)
{
    const size_t w = from->width, h = from->height;
    const size_t left = p->width > w ? (p->width - w) / 2 : 0;
    const size_t top = p->height > h ? (p->height - h) / 2 : 0;
    const size_t x = w > p->width ? (w - p->width) / 2 : 0;
    const size_t y = h > p->height ? (h - p->height) / 2 : 0;
    const size_t wide = w < p->width ? w : p->width, high = h < p->height ? h : p->height;

    if (image_alloc(to, p->width, p->height, e) < 0)
        return -1;
    memset(to->rgb, 0, 3 * p->width * p->height);
    for (size_t i = 0; i < high; i++)
        memcpy(to->rgb + 3 * ((top + i) * p->width + left), from->rgb + 3 * ((y + i) * w + x),
               3 * wide);
    return 0;
}

static int pixels_clip(const struct prepare *p, const struct image *x,
                       const struct prepared_shape *s, float *out, struct err *e)
{
    struct image a, b = {0};
    size_t to[2];
    int rc;

    (void)s;
    sizes(p, x->width, x->height, to);
    if (resize_image(x, to[1], to[0], p->filter, &a, e) < 0)
        return -1;
    if ((rc = middle(p, &a, &b, e)) == 0)
        prepare_tile(p, &b, 0, 0, 0, out);
    image_release(&b);
    image_release(&a);
    return rc;
}

static const char *const types[] = {"CLIPImageProcessor", "SiglipImageProcessor", NULL};
const struct prepare_kind prepare_clip = {
    .types = types,
    .mark = "<image>",
    .open = open_clip,
    .measure = measure_clip,
    .pixels = pixels_clip,
    .text = prepare_marks,
};
