/* SPDX-License-Identifier: Apache-2.0 */
/* eval_images - see eval_images.h. */
#include "eval_images.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/hash.h"
#include "../../common/base/mem.h"
#include "../../common/image/image_file.h"
#include "../../common/image/image_source.h"
#include "../../common/jinja/chat_images.h"
#include "../../common/model/config_read.h"

void window_pictures_release(struct window_pictures *x)
{
    for (size_t i = 0; i < x->count; i++)
        free(x->at[i].source);
    free(x->at);
    prepare_close(&x->prepare);
    memset(x, 0, sizeof *x);
}

static int prepare_need(struct window_pictures *x, const char *model, struct err *e)
{
    struct config c;
    int rc;

    if (x->prepare)
        return 0;
    if (config_read(model, &c, e) < 0)
        return -1;
    rc = c.vision ? 0
                  : err_set(e, ERR_USE, "there are images, and '%.300s' is a model without a tower",
                            model);
    if (rc == 0 && !(x->prepare = prepare_open(model, c.file, e)))
        rc = -1;
    config_release(&c);
    return rc;
}

static int picture_open(const struct window_pictures *x, const char *source, struct image *to,
                        uint64_t *digest, struct err *e)
{
    struct image_bytes b;
    int rc;

    if (image_source_read(source, x->data, &b, e) < 0)
        return -1;
    *digest = hash_bytes(b.data, b.n);
    rc = image_file_decode(b.data, b.n, b.name, to, e);
    image_bytes_release(&b);
    return rc;
}

static int picture_add(struct window_pictures *x, const char *source, size_t beside, size_t window,
                       struct err *e)
{
    struct window_picture *p;
    struct image picture = {0};
    int rc;

    if (mem_grow((void **)&x->at, &x->room, x->count + 1, sizeof *x->at, e) < 0)
        return -1;
    p = &x->at[x->count];
    *p = (struct window_picture){.window = window};
    if (!(p->source = mem_text(source, e)))
        return -1;
    x->count++;
    if (picture_open(x, source, &picture, &p->digest, e) < 0)
        return -1;
    rc = prepare_measure(x->prepare, picture.width, picture.height, beside, &p->shape, e) < 0
             ? err_prefix(e, "%.200s", source)
             : 0;
    image_release(&picture);
    x->digest = hash_bytes((const uint64_t[]){x->digest, p->digest, prepare_digest(x->prepare)},
                           3 * sizeof x->digest);
    return rc;
}

const char *window_pictures_mark(const struct window_pictures *x)
{
    return prepare_mark(x->prepare);
}

int window_pictures_check(const struct window_pictures *x, size_t window, const int32_t *ids,
                          size_t n, struct err *e)
{
    size_t want = 0, have = 0;

    for (size_t i = x->count; i > 0 && x->at[i - 1].window == window; i--)
        want += x->at[i - 1].shape.tokens;
    for (size_t t = 0; t < n; t++)
        have += ids[t] == prepare_token(x->prepare);
    return have == want
               ? 0
               : err_set(e, ERR_USE, "%zu image tokens (id %lld) for %zu that the images have",
                         have, (long long)prepare_token(x->prepare), want);
}

int window_pictures_list(struct window_pictures *x, const char *model, const struct json *sources,
                         size_t window, char ***text, struct err *e)
{
    const size_t n = json_count(sources);

    if (prepare_need(x, model, e) < 0 || (text && !(*text = mem_array(n, sizeof **text, e))))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (picture_add(x, json_as_text(json_at(sources, i)), n, window, e) < 0 ||
            (text && !((*text)[i] = prepare_text(x->prepare, &x->at[x->count - 1].shape, e))))
            return -1;
    return 0;
}

int window_pictures_add(struct window_pictures *x, const char *model, const struct json *images,
                        size_t window, const int32_t *ids, size_t n, struct err *e)
{
    struct json *sources = NULL;
    int rc = chat_images_list(images, &sources, e);

    if (rc == 0)
        rc = window_pictures_list(x, model, sources, window, NULL, e);
    if (rc == 0)
        rc = window_pictures_check(x, window, ids, n, e);
    json_destroy(&sources);
    return rc;
}

/* ---- seeing ---- */

void window_seen_release(struct window_seen *s)
{
    seen_release(&s->seen);
    free(s->image);
    s->image = NULL;
}

struct look {
    float *pixels;
    int32_t *rows, *grid, *size;
    size_t width, n, all; /* all: rows of all pictures */
};

static int look_make(struct look *l, const struct window_picture *p, size_t n, struct err *e)
{
    size_t width = 1;

    for (int k = 1; k < p[0].shape.ndim; k++)
        width *= (size_t)p[0].shape.shape[k];
    l->width = width;
    if (!(l->rows = mem_array(n, sizeof *l->rows, e)) ||
        !(l->grid = mem_array(n, 3 * sizeof *l->grid, e)) ||
        !(l->size = mem_array(n, 2 * sizeof *l->size, e)))
        return -1;
    for (size_t i = 0; i < n; i++) {
        l->rows[i] = (int32_t)p[i].shape.shape[0];
        memcpy(l->grid + 3 * i, p[i].shape.grid, sizeof p[i].shape.grid);
        memcpy(l->size + 2 * i, p[i].shape.size, sizeof p[i].shape.size);
        l->all += (size_t)p[i].shape.shape[0];
    }
    return (l->pixels = mem_raw(l->all * width, sizeof *l->pixels, e)) ? 0 : -1;
}

static int look_fill(struct look *l, const struct window_pictures *x,
                     const struct window_picture *p, size_t n, struct err *e)
{
    float *to = l->pixels;

    for (size_t i = 0; i < n; i++) {
        struct image picture = {0};
        uint64_t digest;
        int rc = picture_open(x, p[i].source, &picture, &digest, e);

        if (rc == 0 && digest != p[i].digest)
            rc = err_set(e, ERR_DATA, "'%.200s' has changed since it was read first", p[i].source);
        if (rc == 0)
            rc = prepare_pixels(x->prepare, &picture, &p[i].shape, to, e);
        image_release(&picture);
        if (rc < 0)
            return -1;
        to += p[i].shape.shape[0] * l->width;
    }
    return 0;
}

/* Which picture each token is of, in their order. */
static int32_t *image_of(const struct window_pictures *x, const struct window_picture *p, size_t n,
                         const int32_t *ids, size_t T, struct err *e)
{
    int32_t *image = mem_array(T, sizeof *image, e);
    size_t i = 0, used = 0;

    for (size_t t = 0; image && t < T; t++) {
        image[t] = -1;
        if (i == n || ids[t] != prepare_token(x->prepare))
            continue;
        image[t] = (int32_t)i;
        if (++used == p[i].shape.tokens) {
            i++;
            used = 0;
        }
    }
    return image;
}

int window_look(struct model *m, const struct window_pictures *x, size_t window, const int32_t *ids,
                size_t T, struct window_seen *s, struct err *e)
{
    const struct window_picture *p = NULL;
    const int32_t length = (int32_t)T;
    struct seen_text text = {.T = T, .nseq = 1, .ids = ids, .lengths = &length};
    struct look l = {0};
    int rc = 0;

    memset(s, 0, sizeof *s);
    for (size_t i = 0; x && i < x->count; i++)
        if (x->at[i].window == window) {
            p = p ? p : &x->at[i];
            l.n++;
        }
    if (p && (look_make(&l, p, l.n, e) < 0 || look_fill(&l, x, p, l.n, e) < 0 ||
              !(s->image = image_of(x, p, l.n, ids, T, e))))
        rc = -1;
    text.image = s->image;
    if (rc == 0)
        rc = seen_open(m, &text,
                       &(struct pictures){.count = l.n,
                                          .pixels = l.pixels,
                                          .rows = l.all,
                                          .width = l.width,
                                          .image_rows = l.rows,
                                          .grid = l.grid,
                                          .size = l.size},
                       &s->seen, e);
    free(l.pixels);
    free(l.rows);
    free(l.grid);
    free(l.size);
    return rc < 0 ? err_prefix(e, "window %zu", window) : 0;
}
