/* SPDX-License-Identifier: Apache-2.0 */
/* seen - see seen.h. */
#include "seen.h"

#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../wire/msg_chunk.h"
#include "pictures_once.h"

void seen_drop_features(struct seen *s)
{
    free(s->f.x);
    s->f.x = NULL;
}

void seen_drop_deep(struct seen *s)
{
    for (size_t i = 0; s->f.deep && i < VISION_LEVELS; i++) {
        free(s->f.deep[i]);
        s->f.deep[i] = NULL;
    }
    s->rows.deeps = 0;
}

static void way_close(struct seen_way **w)
{
    if (!*w)
        return;
    sight_close(&(*w)->sight);
    pictures_once_release(&(*w)->once);
    free(*w);
    *w = NULL;
}

void seen_release(struct seen *s)
{
    way_close(&s->way);
    features_release(&s->f);
    free(s->axis);
    free(s->feature);
    memset(s, 0, sizeof *s);
}

const struct rows_seen *seen_rows(const struct seen *s)
{
    return s && s->any ? &s->rows : NULL;
}

void seen_embed(const struct seen *s, size_t T, float *h)
{
    for (size_t t = 0; s->any && t < T; t++)
        if (s->feature[t] >= 0)
            memcpy(h + t * s->f.d, s->f.x + (size_t)s->feature[t] * s->f.d, s->f.d * sizeof *h);
}

/* ---- which token gets which row ---- */

int seen_check_text(const struct model *m, const struct seen_text *x, struct err *e)
{
    const struct vision *v = model_config(m)->vision;

    for (size_t t = 0; v && t < x->T; t++)
        if (x->ids[t] == v->token && !(x->image && x->image[t] >= 0))
            return err_set(e, ERR_USE,
                           "token %zu is that of an image (%lld), but there is no image for it", t,
                           (long long)v->token);
    return 0;
}

/* Features of an image go to its tokens in their order. of [pictures]: whose features each has. */
static int feature_fill(struct seen *s, const struct seen_text *x, size_t pictures,
                        const size_t *of, struct err *e)
{
    size_t *used = mem_array(pictures, sizeof *used, e);
    int rc = used ? 0 : -1;

    for (size_t t = 0; rc == 0 && t < x->T; t++) {
        const int32_t i = x->image[t];

        s->feature[t] = i < 0 ? -1 : (int32_t)(s->f.first[of[i]] + used[i]++);
    }
    for (size_t i = 0; rc == 0 && i < pictures; i++)
        if (used[i] != s->f.first[of[i] + 1] - s->f.first[of[i]])
            rc = err_set(e, ERR_USE,
                         "picture %zu has %zu tokens in the text, but the tower makes %zu "
                         "features of it; sample with the preprocessor of this model",
                         i, used[i], s->f.first[of[i] + 1] - s->f.first[of[i]]);
    free(used);
    return rc;
}

/* ---- positions ---- */

/* An image at position p: p and the row and the column of each feature; what follows goes on
 * behind the longer side. */
static void axis_image(const struct pictures *p, size_t merge, size_t k, int32_t at, int32_t i,
                       int32_t axis[3])
{
    const size_t high = (size_t)p->grid[3 * i + 1] / merge,
                 wide = (size_t)p->grid[3 * i + 2] / merge;

    axis[0] = at + (int32_t)(k / (high * wide));
    axis[1] = at + (int32_t)(k / wide % high);
    axis[2] = at + (int32_t)(k % wide);
}

static int32_t longer_side(const struct pictures *p, size_t merge, int32_t i)
{
    const int32_t *g = p->grid + 3 * i;

    return (g[1] > g[2] ? g[1] : g[2]) / (int32_t)merge;
}

static void axis_fill(struct seen *s, const struct seen_text *x, const struct pictures *p,
                      size_t merge)
{
    size_t t = 0;

    for (size_t q = 0; q < x->nseq; q++) {
        const size_t end = t + (size_t)x->lengths[q];
        int32_t at = 0;

        for (size_t n; t < end; t += n) {
            const int32_t i = x->image[t];

            for (n = 0; t + n < end && x->image[t + n] == i; n++)
                if (i < 0)
                    for (size_t a = 0; a < 3; a++)
                        s->axis[3 * (t + n) + a] = at + (int32_t)n;
                else
                    axis_image(p, merge, n, at, i, s->axis + 3 * (t + n));
            at += i < 0 ? (int32_t)n : longer_side(p, merge, i);
        }
    }
}

static void reach_find(struct seen *s, size_t T)
{
    for (size_t k = 0; k < 3 * T; k++)
        if ((size_t)s->axis[k] + 1 > s->rows.reach)
            s->rows.reach = (size_t)s->axis[k] + 1;
}

/* Each picture through the tower once. */
static int look(struct model *m, const struct seen_text *x, const struct pictures *p,
                struct seen *s, struct err *e)
{
    struct pictures_once once;
    int rc = -1;

    if (pictures_once_make(p, &once, e) == 0 && sight_all(m, &once.p, &s->f, e) == 0 &&
        (s->feature = mem_array(x->T, sizeof *s->feature, e)))
        rc = feature_fill(s, x, p->count, once.of, e);
    pictures_once_release(&once);
    return rc;
}

/* The same, up to the tower's first block. */
static int look_begin(struct model *m, const struct seen_text *x, const struct pictures *p,
                      struct seen *s, struct err *e)
{
    struct seen_way *w = s->way = mem_array(1, sizeof *w, e);

    if (!w || pictures_once_make(p, &w->once, e) < 0 ||
        features_make(m, &w->once.p, &s->f, e) < 0 ||
        !(w->sight = sight_open(m, &w->once.p, &s->f, 0, e)) ||
        !(s->feature = mem_array(x->T, sizeof *s->feature, e)))
        return -1;
    free(w->once.pixels);
    w->once.pixels = NULL;
    w->once.p.pixels = NULL;
    return feature_fill(s, x, p->count, w->once.of, e);
}

struct sight *seen_sight(struct seen *s)
{
    if (s->way)
        sight_aim(s->way->sight, &s->f); /* *s may have moved */
    return s->way ? s->way->sight : NULL;
}

int seen_join(struct seen *s, struct err *e)
{
    struct sight *way = seen_sight(s);
    const int rc = way ? sight_join(way, e) : 0;

    way_close(&s->way);
    return rc;
}

/* What the decoder is told of the pictures that were looked at. */
static int settle(const struct config *c, const struct seen_text *x, const struct pictures *p,
                  struct seen *s, struct err *e)
{
    if (c->rope.axes) {
        if (!(s->axis = mem_array(3 * x->T, sizeof *s->axis, e)))
            return -1;
        axis_fill(s, x, p, c->vision->merge);
        reach_find(s, x->T);
    }
    s->rows.axis = s->axis;
    s->rows.image = x->image;
    s->rows.feature = s->feature;
    s->rows.deep = (const float *const *)s->f.deep;
    s->rows.deeps = s->f.levels;
    s->any = 1;
    return 0;
}

int seen_open(struct model *m, const struct seen_text *x, const struct pictures *p, struct seen *s,
              struct err *e)
{
    memset(s, 0, sizeof *s);
    if (seen_check_text(m, x, e) < 0)
        return -1;
    return !p->count ? 0 : look(m, x, p, s, e) < 0 ? -1 : settle(model_config(m), x, p, s, e);
}

/* How a chunk is looked at: all of the tower, or its beginning. */
typedef int look_fn(struct model *, const struct seen_text *, const struct pictures *,
                    struct seen *, struct err *);

static int chunk_look(struct model *m, const struct chunk_view *v, look_fn *how, struct seen *s,
                      struct err *e)
{
    const struct chunk_images *x = &v->images;
    const struct seen_text text = {
        .T = v->T, .nseq = v->nseq, .ids = v->ids, .lengths = v->lengths, .image = x->of};
    struct pictures p = {.count = x->n,
                         .image_rows = x->rows,
                         .grid = x->grid,
                         .size = x->size,
                         .digest = x->digest};
    int rc;

    if (x->n) {
        p.pixels = x->pixels->data;
        p.rows = (size_t)x->pixels->shape[0];
        p.width = tensor_elements(x->pixels) / p.rows;
    }
    memset(s, 0, sizeof *s);
    rc = seen_check_text(m, &text, e);
    if (rc == 0 && x->n)
        rc = how(m, &text, &p, s, e) < 0 ? -1 : settle(model_config(m), &text, &p, s, e);
    return rc < 0 ? err_prefix(e, "chunk %llu", (unsigned long long)v->chunk) : 0;
}

int seen_chunk(struct model *m, const struct chunk_view *v, struct seen *s, struct err *e)
{
    return chunk_look(m, v, look, s, e);
}

int seen_begin(struct model *m, const struct chunk_view *v, struct seen *s, struct err *e)
{
    return chunk_look(m, v, look_begin, s, e);
}
