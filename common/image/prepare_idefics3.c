/* SPDX-License-Identifier: Apache-2.0 */
/* prepare_idefics3 - Idefics3 and SmolVLM: the longest edge to a given length, then both edges up
 * to whole tiles (again a resize), tiles row by row, the whole picture as the last tile (a third
 * one). Without splitting: the whole picture alone. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "prepare_kind.h"

#define BOUND 4096 /* of an edge, whatever the settings ask for */

static int open_idefics3(struct prepare *p, const struct json *json, const struct json *config,
                         struct err *e)
{
    const struct json *tower = prepare_tower(p, config, e);
    size_t scale, patch;

    if (!tower ||
        prepare_count(p, json_get(json, "size"), "longest_edge", "size.", &p->longest, e) < 0 ||
        prepare_count(p, json_get(json, "max_image_size"), "longest_edge", "max_image_size.",
                      &p->height, e) < 0 ||
        prepare_count(p, tower, "patch_size", "vision_config.", &patch, e) < 0 ||
        prepare_count(p, config, "scale_factor", "", &scale, e) < 0)
        return -1;
    p->width = p->height;
    if (p->height > BOUND || p->longest > IMAGE_SIDE)
        return err_set(e, ERR_USE, "%s: \"max_image_size\" and \"size\" are too large", p->what);
    if (json_opt_bool(json, "do_image_splitting", 1, &p->split, p->what, e) < 0)
        return -1;
    p->seq = p->height / patch / scale;
    p->seq *= p->seq;
    return p->seq ? 0 : err_set(e, ERR_USE, "%s: a tile has no token", p->what);
}

static size_t at_least(size_t v, size_t least)
{
    return v < least ? least : v;
}

/* Both resizes of the reference: [0] height, [1] width after each. */
static void sizes(const struct prepare *p, size_t width, size_t height, size_t first[2],
                  size_t second[2])
{
    double aspect = (double)width / (double)height;
    size_t w = width, h = height, t = p->height;

    if (w >= h) {
        w = p->longest;
        h = (size_t)((double)w / aspect);
        h += h & 1;
    } else {
        h = p->longest;
        w = (size_t)((double)h * aspect);
        w += w & 1;
    }
    w = at_least(w, 1);
    h = at_least(h, 1);
    aspect = (double)w / (double)h;
    if (w >= h && w > BOUND) {
        w = BOUND;
        h = (size_t)((double)w / aspect);
    } else if (h > w && h > BOUND) {
        h = BOUND;
        w = (size_t)((double)h * aspect);
    }
    first[0] = h = at_least(h, 1);
    first[1] = w = at_least(w, 1);
    aspect = (double)w / (double)h;
    if (w >= h) {
        w = (w + t - 1) / t * t;
        h = at_least((size_t)((double)w / aspect), 1);
    } else {
        h = (h + t - 1) / t * t;
        w = at_least((size_t)((double)h * aspect), 1);
    }
    second[0] = (h + t - 1) / t * t;
    second[1] = (w + t - 1) / t * t;
}

static int measure_idefics3(const struct prepare *p, size_t width, size_t height, size_t beside,
                            struct prepared_shape *s, struct err *e)
{
    size_t first[2], second[2], down, across;

    (void)beside;
    (void)e;
    sizes(p, width, height, first, second);
    down = second[0] / p->height;
    across = second[1] / p->width;
    if (!p->split || (down == 1 && across == 1))
        prepare_tiles(p, 1, 0, 0, s);
    else
        prepare_tiles(p, down * across + 1, down, across, s);
    s->tokens = (size_t)s->shape[0] * p->seq;
    return 0;
}

static int pixels_idefics3(const struct prepare *p, const struct image *x,
                           const struct prepared_shape *s, float *out, struct err *e)
{
    const size_t down = (size_t)s->grid[1], across = (size_t)s->grid[2];
    size_t first[2], second[2];
    struct image a, b = {0};
    int rc = -1;

    sizes(p, x->width, x->height, first, second);
    if (resize_image(x, first[1], first[0], p->filter, &a, e) < 0)
        return -1;
    if (!p->split) {
        rc = prepare_whole(p, &a, 0, out, e);
        goto out;
    }
    if (resize_image(&a, second[1], second[0], p->filter, &b, e) < 0)
        goto out;
    for (size_t i = 0; i < down * across; i++)
        prepare_tile(p, &b, i / across * p->height, i % across * p->width, i, out);
    rc = prepare_whole(p, &b, down * across, out, e);
out:
    image_release(&b);
    image_release(&a);
    return rc;
}

#define FAKE "<fake_token_around_image>"
#define WHOLE "<global-img>"
#define MARK "<image>"

static char *text_idefics3(const struct prepare *p, const struct prepared_shape *s, struct err *e)
{
    struct prepare_text t = {0};
    char tag[96];
    int bad = 0;

    for (int r = 0; r < s->grid[1] && !bad; r++) {
        for (int c = 0; c < s->grid[2] && !bad; c++) {
            snprintf(tag, sizeof tag, FAKE "<row_%d_col_%d>", r + 1, c + 1);
            bad = prepare_add(&t, tag, 1, e) < 0 || prepare_add(&t, MARK, p->seq, e) < 0;
        }
        bad = bad || prepare_add(&t, "\n", 1, e) < 0;
    }
    bad = bad || prepare_add(&t, s->grid[1] ? "\n" FAKE WHOLE : FAKE WHOLE, 1, e) < 0 ||
          prepare_add(&t, MARK, p->seq, e) < 0 || prepare_add(&t, FAKE, 1, e) < 0;
    if (!bad)
        return t.text;
    free(t.text);
    return NULL;
}

static const char *const types[] = {"Idefics3ImageProcessor", "SmolVLMImageProcessor", NULL};
const struct prepare_kind prepare_idefics3 = {
    .types = types,
    .mark = MARK,
    .open = open_idefics3,
    .measure = measure_idefics3,
    .pixels = pixels_idefics3,
    .text = text_idefics3,
};
