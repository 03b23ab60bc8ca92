/* SPDX-License-Identifier: Apache-2.0 */
/* msg_images - see msg_images.h. */
#include "msg_images.h"

#include <inttypes.h>
#include <string.h>

#include "modality.h"
#include "msg_check.h"

static int check_pixels(const struct msg *m, struct chunk_images *x, struct err *e)
{
    const struct tensor *t = msg_tensor(m, "pixels");

    if (t->dtype != DT_F32 || (t->ndim != 2 && t->ndim != 4))
        return check_fail(m, e,
                          "tensor 'pixels' must be F32 and tiles [P, 3, H, W] or patches [P, n]");
    if (t->ndim == 4 && t->shape[1] != 3)
        return check_fail(m, e, "tensor 'pixels' has %" PRIu64 " channels, must have 3",
                          t->shape[1]);
    if (tensor_count_bad(t))
        return check_fail(m, e, "tensor 'pixels' holds values that are not finite");
    x->pixels = t;
    return 0;
}

/* An I32 or U64 that must be there beside pixels: [n] (columns 0), or [n, columns]. */
static const void *check_each(const struct msg *m, const char *name, enum dtype dtype, size_t n,
                              size_t columns, struct err *e)
{
    const struct tensor *t = msg_need(m, name, dtype, columns ? 2 : 1, e);

    if (!t)
        return NULL;
    if (t->shape[0] != n || (columns && t->shape[1] != columns)) {
        check_fail(m, e, "tensor '%s' has %" PRIu64 " rows for %zu %s", name, t->shape[0], n,
                   strcmp(name, "image") == 0 ? "tokens" : "images");
        return NULL;
    }
    return t->data;
}

/* What a picture has of pixels must be what its grid says. */
static int check_grid(const struct msg *m, const struct chunk_images *x, size_t i, struct err *e)
{
    const int64_t rows = x->rows[i], t = x->grid[3 * i], h = x->grid[3 * i + 1],
                  w = x->grid[3 * i + 2];
    const int whole = x->pixels->ndim == 4 && !h && !w;
    int fits = t >= 1 && ((h >= 1 && w >= 1) || whole);

    if (fits && x->pixels->ndim == 4)
        fits = t == 1 && rows == h * w + 1;
    else if (fits)
        fits = h <= INT32_MAX / w && t <= INT32_MAX / (h * w) && rows == t * h * w;
    if (!fits)
        return check_fail(m, e,
                          "tensor 'image_grid': image %zu has %" PRId64
                          " rows of pixels and a grid "
                          "of %" PRId64 " x %" PRId64 " x %" PRId64,
                          i, rows, t, h, w);
    if (x->size[2 * i] < 1 || x->size[2 * i + 1] < 1)
        return check_fail(m, e, "tensor 'image_size': image %zu is %d x %d", i, x->size[2 * i],
                          x->size[2 * i + 1]);
    return 0;
}

static int check_rows(const struct msg *m, const struct chunk_images *x, struct err *e)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < x->n; i++) {
        if (x->rows[i] < 1)
            return check_fail(m, e, "tensor 'image_rows': image %zu has %d", i, x->rows[i]);
        sum += (uint64_t)x->rows[i];
        if (check_grid(m, x, i, e) < 0)
            return -1;
    }
    return sum == x->pixels->shape[0]
               ? 0
               : check_fail(m, e,
                            "tensor 'image_rows': %" PRIu64 " in all, of %" PRIu64 " in 'pixels'",
                            sum, x->pixels->shape[0]);
}

/* Pictures in the order of their tokens, none without any. */
static int check_of(const struct msg *m, size_t T, const uint8_t *modality,
                    const struct chunk_images *x, struct err *e)
{
    int32_t last = -1;

    for (size_t t = 0; t < T; t++) {
        const int32_t i = x->of[t];

        if (i < -1 || (i >= 0 && (size_t)i >= x->n))
            return check_fail(m, e, "tensor 'image': token %zu is of image %d, of %zu", t, i, x->n);
        if ((i >= 0) != (modality && modality[t] == MODALITY_IMAGE))
            return check_fail(m, e, "tensors 'image' and 'modality' differ at token %zu", t);
        if (i < 0)
            continue;
        if (i != last && i != last + 1)
            return check_fail(m, e, "tensor 'image': token %zu is of image %d, behind image %d", t,
                              i, last);
        last = i;
    }
    return (size_t)(last + 1) == x->n
               ? 0
               : check_fail(m, e, "tensor 'image': image %d has no token", last + 1);
}

int images_read(const struct msg *m, size_t T, const uint8_t *modality, struct chunk_images *x,
                struct err *e)
{
    const struct tensor *rows;

    *x = (struct chunk_images){0};
    if (!msg_tensor(m, "pixels"))
        return msg_tensor(m, "image_rows") || msg_tensor(m, "image")
                   ? check_fail(m, e, "tensor 'image' or 'image_rows' without 'pixels'")
                   : 0;
    if (check_pixels(m, x, e) < 0 || !(rows = msg_need(m, "image_rows", DT_I32, 1, e)))
        return -1;
    x->n = (size_t)rows->shape[0];
    x->rows = rows->data;
    if (!x->n || x->n > INT32_MAX)
        return check_fail(m, e, "tensor 'image_rows' has %zu values", x->n);
    if (!(x->grid = check_each(m, "image_grid", DT_I32, x->n, 3, e)) ||
        !(x->size = check_each(m, "image_size", DT_I32, x->n, 2, e)) ||
        !(x->digest = check_each(m, "image_digest", DT_U64, x->n, 0, e)) ||
        !(x->of = check_each(m, "image", DT_I32, T, 0, e)) || check_rows(m, x, e) < 0)
        return -1;
    return check_of(m, T, modality, x, e);
}

static int add(struct msg *m, const char *name, enum dtype dtype, size_t n, size_t columns,
               const void *data, struct err *e)
{
    void *to = msg_add_new(m, name, dtype, columns ? 2 : 1, (const uint64_t[]){n, columns}, e);

    if (!to)
        return -1;
    memcpy(to, data, m->tensors[m->ntensors - 1].bytes);
    return 0;
}

int images_write(struct msg *m, size_t T, const struct chunk_images *x, struct err *e)
{
    void *pixels;

    if (!x->n)
        return 0;
    if (add(m, "image", DT_I32, T, 0, x->of, e) < 0 ||
        add(m, "image_rows", DT_I32, x->n, 0, x->rows, e) < 0 ||
        add(m, "image_grid", DT_I32, x->n, 3, x->grid, e) < 0 ||
        add(m, "image_size", DT_I32, x->n, 2, x->size, e) < 0 ||
        add(m, "image_digest", DT_U64, x->n, 0, x->digest, e) < 0 ||
        !(pixels = msg_add_new(m, "pixels", DT_F32, x->pixels->ndim, x->pixels->shape, e)))
        return -1;
    if (x->pixels->data)
        memcpy(pixels, x->pixels->data, m->tensors[m->ntensors - 1].bytes);
    return 0;
}
