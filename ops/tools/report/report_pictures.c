/* SPDX-License-Identifier: Apache-2.0 */
/* report_pictures - see report_pictures.h. Pixels are what the model is given: of a divided image
 * the tile that shows the whole of it, of patches all of them put together again. */
#include "report_pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "../../../common/wire/link.h"
#include "../../../common/wire/msg_chunk.h"

#define MODEL_DIGITS 16 /* of a run's name: MODEL-REST */

void report_pictures_close(struct report_pictures **pp)
{
    struct report_pictures *p = *pp;

    if (!p)
        return;
    for (size_t i = 0; i < p->shown; i++) {
        free(p->at[i].rgb);
        free(p->at[i].heat);
    }
    free(p->digest);
    free(p);
    *pp = NULL;
}

/* ---- pixels ---- */

/* Where the values of one picture are: a tile [3, high, wide], or patches. */
struct raster {
    const float *at;
    size_t high, wide; /* pixels */
    size_t side;       /* of a patch; 0: a tile */
    size_t merge;      /* patches of a token lie together, so many in a row and a column */
    size_t values;     /* of a patch */
};

static float raster_value(const struct raster *r, size_t c, size_t y, size_t x)
{
    size_t row, down, across, in;

    if (!r->side)
        return r->at[(c * r->high + y) * r->wide + x];
    down = y / r->side;
    across = x / r->side;
    in = down % r->merge * r->merge + across % r->merge;
    row = (down / r->merge * (r->wide / r->side / r->merge) + across / r->merge) * r->merge *
              r->merge +
          in;
    /* of a patch: channel, time, y, x; the first picture in time */
    return r->at[row * r->values + c * (r->values / 3) + y % r->side * r->side + x % r->side];
}

static size_t root_of(size_t n)
{
    size_t r = (size_t)sqrt((double)n);

    while (r * r > n)
        r--;
    while ((r + 1) * (r + 1) <= n)
        r++;
    return r;
}

/* A picture in patches; 0: their numbers make none. */
static int raster_patches(struct raster *r, struct report_picture *x, const int32_t grid[3])
{
    const size_t high = (size_t)grid[1], wide = (size_t)grid[2],
                 tokens = x->tokens / (size_t)grid[0];

    /* channels; one moment, or the two that are seen together */
    r->side = root_of(r->values / 3);
    if (3 * r->side * r->side != r->values)
        r->side = root_of(r->values / 6);
    r->merge = tokens ? root_of(high * wide / tokens) : 0;
    if (!r->side || !r->merge || high % r->merge || wide % r->merge ||
        high * wide != tokens * r->merge * r->merge || r->values % (3 * r->side * r->side))
        return 0;
    r->high = high * r->side;
    r->wide = wide * r->side;
    x->down = high / r->merge;
    x->across = wide / r->merge;
    return 1;
}

/* The tile with the whole picture: the last, where all have as many tokens; else the first. */
static void raster_tile(struct raster *r, struct report_picture *x, size_t rows)
{
    const size_t each = x->tokens / rows, side = root_of(each);
    const int even = each * rows == x->tokens;

    if (even)
        r->at += (rows - 1) * 3 * r->high * r->wide;
    if (even && side * side == each)
        x->down = x->across = side;
}

/* Mean of the pixels that become one. */
static double raster_mean(const struct raster *r, size_t c, const size_t y[2], const size_t x[2])
{
    double sum = 0;

    for (size_t i = y[0]; i < y[1]; i++)
        for (size_t k = x[0]; k < x[1]; k++)
            sum += (double)raster_value(r, c, i, k);
    return sum / (double)((y[1] - y[0]) * (x[1] - x[0]));
}

static int picture_draw(struct report_picture *p, const struct raster *r, struct err *e)
{
    const size_t longer = r->high > r->wide ? r->high : r->wide,
                 step = (longer + PICTURE_SIDE - 1) / PICTURE_SIDE;
    double lo = INFINITY, hi = -INFINITY, *v;

    p->h = (r->high + step - 1) / step;
    p->w = (r->wide + step - 1) / step;
    if (!(v = mem_array(3 * p->h * p->w, sizeof *v, e)) ||
        !(p->rgb = mem_array(3 * p->h * p->w, 1, e))) {
        free(v);
        return -1;
    }
    for (size_t i = 0; i < 3 * p->h * p->w; i++) {
        const size_t y = i / 3 / p->w * step, x = i / 3 % p->w * step;
        const size_t ys[2] = {y, y + step < r->high ? y + step : r->high},
                     xs[2] = {x, x + step < r->wide ? x + step : r->wide};

        v[i] = raster_mean(r, i % 3, ys, xs);
        lo = fmin(lo, v[i]);
        hi = fmax(hi, v[i]);
    }
    for (size_t i = 0; i < 3 * p->h * p->w; i++)
        p->rgb[i] = (unsigned char)(hi > lo ? 255 * (v[i] - lo) / (hi - lo) + 0.5 : 128);
    free(v);
    return 0;
}

/* Pixels of picture i of the chunk, whose first row is given. */
static int picture_pixels(struct report_picture *p, const struct chunk_images *x, size_t i,
                          size_t first, struct err *e)
{
    const struct tensor *t = x->pixels;
    const size_t each = tensor_elements(t) / (size_t)t->shape[0];
    struct raster r = {.at = (const float *)t->data + first * each, .values = each};

    if (t->ndim == 4 && t->shape[1] == 3) {
        r.high = (size_t)t->shape[2];
        r.wide = (size_t)t->shape[3];
        raster_tile(&r, p, (size_t)x->rows[i]);
    } else if (t->ndim != 2 || !raster_patches(&r, p, x->grid + 3 * i)) {
        return 0;
    }
    return picture_draw(p, &r, e);
}

/* ---- weights ---- */

static double token_weight(const struct chunk_view *v, size_t t)
{
    double sum = 0;

    for (size_t s = 0; s < v->nsites; s++)
        sum += (double)v->site_weights[s * v->T + t];
    return (v->weights ? (double)v->weights[t] : 1) * (v->nsites ? sum / (double)v->nsites : 1);
}

/* Of the tokens of the tile that is shown: the last of the picture. */
static int picture_heat(struct report_picture *p, const struct chunk_view *v, size_t i,
                        struct err *e)
{
    const size_t n = p->down * p->across;
    size_t k = 0;

    if (!n || (!v->weights && !v->nsites))
        return 0;
    if (!(p->heat = mem_array(n, sizeof *p->heat, e)))
        return -1;
    p->lightest = INFINITY;
    p->heaviest = -INFINITY;
    for (size_t t = 0; t < v->T; t++) {
        if (v->images.of[t] != (int32_t)i || k++ < p->tokens - n)
            continue;
        p->heat[k - 1 - (p->tokens - n)] = (float)token_weight(v, t);
        p->lightest = fmin(p->lightest, token_weight(v, t));
        p->heaviest = fmax(p->heaviest, token_weight(v, t));
    }
    return 0;
}

/* ---- chunks ---- */

static int is_new(struct report_pictures *p, uint64_t digest, struct err *e)
{
    for (size_t i = 0; i < p->ndigest; i++)
        if (p->digest[i] == digest)
            return 0;
    if (mem_grow((void **)&p->digest, &p->digest_cap, p->ndigest + 1, sizeof *p->digest, e) < 0)
        return -1;
    p->digest[p->ndigest++] = digest;
    p->distinct++;
    return 1;
}

static void count_again(struct report_pictures *p, uint64_t digest)
{
    for (size_t i = 0; i < p->shown; i++)
        p->at[i].times += p->at[i].digest == digest;
}

static int picture_add(struct report_pictures *p, const struct chunk_view *v, size_t i,
                       size_t first, struct err *e)
{
    const int fresh = is_new(p, v->images.digest[i], e);
    struct report_picture *x = &p->at[p->shown];

    if (fresh < 0)
        return -1;
    if (!fresh)
        count_again(p, v->images.digest[i]);
    if (!fresh || p->shown == PICTURES_SHOWN)
        return 0;
    *x = (struct report_picture){.chunk = v->chunk,
                                 .digest = v->images.digest[i],
                                 .height = (size_t)v->images.size[2 * i],
                                 .width = (size_t)v->images.size[2 * i + 1],
                                 .times = 1};
    p->shown++;
    for (size_t t = 0; t < v->T; t++)
        x->tokens += v->images.of[t] == (int32_t)i;
    return picture_pixels(x, &v->images, i, first, e) < 0 ? -1 : picture_heat(x, v, i, e);
}

static void count_tokens(struct report_pictures *p, const struct chunk_view *v)
{
    size_t t = 0;

    p->chunks++;
    p->sequences += v->nseq;
    for (size_t s = 0; s < v->nseq; s++) {
        size_t images = 0;

        for (size_t end = t + (size_t)v->lengths[s]; t < end; t++) {
            const int image = v->modality && v->modality[t] == 1;

            images += (size_t)image;
            p->answer += !image && v->role && v->role[t] == ROLE_ANSWER;
            *(image ? &p->image : &p->text) += 1;
        }
        p->without += images == 0;
    }
}

/* Chunks and rows name the same model. */
static int model_check(const struct report *r, const struct msg *m, struct err *e)
{
    for (size_t i = 0; i < json_count(r->records); i++) {
        const char *run = json_as_text(json_get(json_at(r->records, i), "run"));

        if (run && strchr(run, '-') && strchr(m->run, '-') &&
            strncmp(run, m->run, MODEL_DIGITS) != 0)
            return err_set(e, ERR_USE,
                           "%s is of run %s, '%s' of run %s, which is another model's: give the "
                           "chunks that calibrated this run",
                           m->id, m->run, r->journal, run);
    }
    return 0;
}

static int chunk_add(struct report_pictures *p, const struct report *r, const struct msg *m,
                     struct err *e)
{
    struct chunk_view v;
    size_t first = 0;

    if (chunk_read(m, &v, e) || model_check(r, m, e))
        return -1;
    count_tokens(p, &v);
    p->images += v.images.n;
    for (size_t i = 0; i < v.images.n; first += (size_t)v.images.rows[i++])
        if (picture_add(p, &v, i, first, e) < 0)
            return err_prefix(e, "%s", m->id);
    return 0;
}

struct report_pictures *report_pictures_read(const struct report *r, const char *file,
                                             struct err *e)
{
    struct link *in = link_open(file, LINK_IN, &(struct link_opts){.name = "report"}, e);
    struct report_pictures *p = in ? mem_array(1, sizeof *p, e) : NULL;
    struct msg *m = NULL;
    int got = -1;

    while (p && (got = link_recv(in, &m, -1, e)) == 1) {
        const int rc = chunk_add(p, r, m, e);

        msg_destroy(&m);
        if (rc < 0)
            report_pictures_close(&p);
    }
    if (p && got == 2)
        err_set(e, ERR_DATA, "told to stop while reading '%s'", file);
    if (p && got != 0)
        report_pictures_close(&p);
    link_close(&in);
    return p;
}
