/* SPDX-License-Identifier: Apache-2.0 */
/* attention - one task per sequence, block of queries and head of the keys: blocks of keys one
 * after the other, the softmax kept up to date as they come (Milakov and Gimelshein, arXiv
 * 1805.02867), so that scores never leave the cache and heads share the keys where they lie. Keys
 * beyond the block and before its window are never touched. Keys and values are those of the
 * chunk itself or of a cache. What each token receives, and the way back, need the whole softmax
 * of a block. Leaves out: biases. */
#include "attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "attention16.h"
#include "attention_parts.h"
#include "attention_tile.h"
#include "vec.h"

size_t attention_value_dim(const struct attention_shape *c)
{
    return c->value_dim ? c->value_dim : c->head_dim;
}

/* Row i of the scores: softmax without the division over keys [low, high), zero elsewhere. */
static float softmax_row(float *s, size_t keys, size_t low, size_t high, const float *sink)
{
    float most = vec_max(s + low, high - low);

    memset(s, 0, low * sizeof *s);
    memset(s + high, 0, (keys - high) * sizeof *s);
    if (!sink)
        return vec_exp_sum(s + low, high - low, most);
    most = *sink > most ? *sink : most;
    return vec_exp_sum(s + low, high - low, most) + expf(*sink - most);
}

float attention_scale(const struct attention_shape *c)
{
    return c->scale != 0 ? c->scale : 1.0f / sqrtf((float)c->head_dim);
}

const int32_t *attention_image(const struct attention_shape *c, const struct rows *r)
{
    return c->images && r->seen ? r->seen->image : NULL;
}

/* The keys [low, high) that row j of a block sees. The tokens of an image stand together. */
static void row_range(const struct attention *a, const struct task *t, size_t j, size_t *low,
                      size_t *high)
{
    const struct attention_shape *c = a->c;
    const size_t at = t->at + j, row = t->row + j;

    *low = c->window && at + 1 > c->window ? at + 1 - c->window : 0;
    *high = at + 1;
    if (c->both) {
        *low = 0;
        *high = t->keys;
    }
    if (!a->image || a->image[row] < 0)
        return;
    for (size_t n = 1; n <= row - t->start && a->image[row - n] == a->image[row]; n++)
        *low = at - n < *low ? at - n : *low;
    while (*high < t->keys && a->image[row + (*high - at)] == a->image[row])
        ++*high;
}

/* Neither end goes back from row to row. */
void attention_range(const struct attention *a, const struct task *t, size_t *low, size_t *high)
{
    size_t end;

    row_range(a, t, 0, low, &end);
    row_range(a, t, t->rows - 1, &end, high);
}

int attention_products(const struct attention *a, const struct task *t, size_t head, size_t from,
                       size_t keys, float *s, struct err *e)
{
    const struct attention_shape *c = a->c;
    const size_t kv = head / (c->heads / c->kv_heads), hd = c->head_dim;
    const float *k =
        (a->keys ? a->keys[t->seq] : a->k + t->start * a->ldk) + from * a->ldk + kv * hd;

    const float scale = attention_scale(c);

    return a->by->sgemm(0, 1, t->rows, keys, hd, scale, a->q + t->row * a->ldq + head * hd, a->ldq,
                        k, a->ldk, 0.0f, s, keys, e);
}

void attention_softmax(const struct attention *a, const struct task *t, size_t head, size_t from,
                       size_t keys, float *s, float *sum)
{
    const struct attention_shape *c = a->c;

    for (size_t j = 0; j < t->rows; j++) {
        size_t low, high;

        row_range(a, t, j, &low, &high);
        if (c->cap != 0)
            vec_cap(s + j * keys + (low - from), high - low, c->cap);
        sum[j] = softmax_row(s + j * keys, keys, low - from, high - from,
                             c->sinks ? c->sinks + head : NULL);
    }
}

int attention_scores(const struct attention *a, const struct task *t, size_t head, size_t from,
                     size_t keys, float *s, float *sum, struct err *e)
{
    if (attention_products(a, t, head, from, keys, s, e) < 0)
        return -1;
    attention_softmax(a, t, head, from, keys, s, sum);
    return 0;
}

/* ---- the result ---- */

/* What the lanes of a panel see: all of them [all_low, all_high), one or the other [low, high). */
struct panel_range {
    size_t low, high, all_low, all_high;
};

/* What a thread holds of one task: panels of 16 queries, a lane each, of all heads that share keys
 * and values; of a head after the other the rows in order. */
struct panels {
    size_t lanes, count; /* count: of the panels */
    size_t qs, xs;       /* rows of q and x: head_dim and value_dim, or more (attention16.h) */
    float *q, *x;        /* of each panel [qs][LANES], [xs][LANES] */
    float *most, *sum;   /* [lanes] */
    int32_t *low, *high;
    struct panel_range *seen; /* [count] */
    float *room;              /* of attention_tile */
};

static size_t panels_count(const struct attention_shape *c, size_t rows)
{
    return (rows * (c->heads / c->kv_heads) + ATTENTION_LANES - 1) / ATTENTION_LANES;
}

/* Rows of a task: what its panels take stays in a cache. */
static size_t task_rows(const struct attention_shape *c)
{
    const size_t lanes = 256 / (c->heads / c->kv_heads) / ATTENTION_LANES * ATTENTION_LANES;

    return lanes > 64 ? 64 : lanes > ATTENTION_LANES ? lanes : ATTENTION_LANES;
}

static size_t query_rows(const struct attention *a)
{
    return a->by16 ? attention16_head(a->c->head_dim) : a->c->head_dim;
}

static size_t value_rows(const struct attention *a)
{
    const size_t vd = attention_value_dim(a->c);

    return a->by16 ? attention16_values(vd) : vd;
}

static size_t tile_room(const struct attention *a)
{
    return a->by16 ? ATTENTION16_ROOM : ATTENTION_TILE_ROOM;
}

static size_t attention_room(const struct attention *a)
{
    return panels_count(a->c, task_rows(a->c)) * ATTENTION_LANES *
               (query_rows(a) + value_rows(a) + 5) +
           tile_room(a);
}

static struct panels panels_cut(const struct attention *a, const struct task *t, float *at)
{
    struct panels p = {.lanes = t->rows * (a->c->heads / a->c->kv_heads),
                       .count = panels_count(a->c, t->rows),
                       .qs = query_rows(a),
                       .xs = value_rows(a)};
    const size_t n = p.count * ATTENTION_LANES;

    p.room = at;
    p.q = p.room + tile_room(a);
    p.x = p.q + n * p.qs;
    p.most = p.x + n * p.xs;
    p.sum = p.most + n;
    p.low = (int32_t *)(void *)(p.sum + n);
    p.high = p.low + n;
    p.seen = (struct panel_range *)(void *)(p.high + n);
    return p;
}

static struct panel_range panel_sees(const struct panels *p, size_t panel)
{
    const size_t end =
        (panel + 1) * ATTENTION_LANES < p->lanes ? (panel + 1) * ATTENTION_LANES : p->lanes;
    struct panel_range s = {.low = SIZE_MAX, .all_high = SIZE_MAX};

    for (size_t l = panel * ATTENTION_LANES; l < end; l++) {
        const size_t low = (size_t)p->low[l], high = (size_t)p->high[l];

        s.low = low < s.low ? low : s.low;
        s.high = high > s.high ? high : s.high;
        s.all_low = low > s.all_low ? low : s.all_low;
        s.all_high = high < s.all_high ? high : s.all_high;
    }
    return s;
}

/* The queries of a panel; past the last lane the last one again. */
static void panel_load(const struct attention *a, const struct task *t, size_t head,
                       const struct panels *p, size_t panel)
{
    const struct attention_shape *c = a->c;
    const float scale = c->cap != 0 ? attention_scale(c) : attention_scale(c) * ATTENTION_LOG2_E;
    const float *q[ATTENTION_LANES];
    float *to = p->q + panel * ATTENTION_LANES * p->qs;

    for (size_t l = 0; l < ATTENTION_LANES; l++) {
        const size_t lane =
            panel * ATTENTION_LANES + l < p->lanes ? panel * ATTENTION_LANES + l : p->lanes - 1;

        q[l] = a->q + (t->row + lane % t->rows) * a->ldq + (head + lane / t->rows) * c->head_dim;
    }
    for (size_t d = 0; d < c->head_dim; d++)
        for (size_t l = 0; l < ATTENTION_LANES; l++)
            to[d * ATTENTION_LANES + l] = q[l][d] * scale;
    if (a->by16)
        attention16_queries(c->head_dim, to);
}

/* Lanes past the last one see nothing. */
static void panels_begin(const struct attention *a, const struct task *t, size_t kv,
                         const struct panels *p)
{
    const struct attention_shape *c = a->c;
    const size_t first = kv * (c->heads / c->kv_heads), n = p->count * ATTENTION_LANES;

    memset(p->x, 0, n * p->xs * sizeof *p->x);
    for (size_t l = 0; l < n; l++) {
        const int sinks = l < p->lanes && c->sinks;
        size_t low = 0, high = 0;

        p->most[l] = sinks ? c->sinks[first + l / t->rows] * ATTENTION_LOG2_E : ATTENTION_UNSEEN;
        p->sum[l] = sinks ? 1 : 0;
        if (l < p->lanes)
            row_range(a, t, l % t->rows, &low, &high);
        p->low[l] = (int32_t)low;
        p->high[l] = (int32_t)high;
    }
    for (size_t i = 0; i < p->count; i++) {
        panel_load(a, t, first, p, i);
        p->seen[i] = panel_sees(p, i);
    }
}

static void panels_end(const struct attention *a, const struct task *t, size_t kv,
                       const struct panels *p)
{
    const struct attention_shape *c = a->c;
    const size_t first = kv * (c->heads / c->kv_heads), vd = attention_value_dim(c);

    for (size_t l = 0; l < p->lanes; l++) {
        const float *from =
                        p->x + l / ATTENTION_LANES * ATTENTION_LANES * p->xs + l % ATTENTION_LANES,
                    part = 1.0f / p->sum[l];
        float *x = a->x + ((t->row + l % t->rows) * c->heads + first + l / t->rows) * vd;

        for (size_t d = 0; d < vd; d++)
            x[d] = from[d * ATTENTION_LANES] * part;
    }
}

/* Panel n of a task to the keys [b, stop) of its sequence. */
static void panel_run(const struct attention *a, const struct task *t, size_t kv,
                      const struct panels *p, size_t n, size_t b, size_t stop)
{
    const struct attention_shape *c = a->c;
    const size_t l = n * ATTENTION_LANES, vd = attention_value_dim(c);
    const struct panel_range *s = &p->seen[n];
    const float *k = a->keys ? a->keys[t->seq] : a->k + t->start * a->ldk,
                *v = a->values ? a->values[t->seq] : a->v + t->start * a->ldv;

    attention_tile(&(struct attention_tile){.head_dim = c->head_dim,
                                            .value_dim = vd,
                                            .ldk = a->ldk,
                                            .ldv = a->ldv,
                                            .q = p->q + l * p->qs,
                                            .x = p->x + l * p->xs,
                                            .most = p->most + l,
                                            .sum = p->sum + l,
                                            .low = p->low + l,
                                            .high = p->high + l,
                                            .cap = c->cap,
                                            .k = k + b * a->ldk + kv * c->head_dim,
                                            .v = v + b * a->ldv + kv * vd,
                                            .first = b,
                                            .keys = stop - b,
                                            .masked = s->all_low > b || s->all_high < stop},
                   p->room);
}

static const uint16_t *packed_block(const struct attention *a, size_t seq, size_t block, size_t kv)
{
    return a->packed + ((a->first_block[seq] + block) * a->c->kv_heads + kv) *
                           attention16_block(a->c->head_dim, attention_value_dim(a->c));
}

static void panel_run16(const struct attention *a, const struct task *t, size_t kv,
                        const struct panels *p, size_t n, size_t b, size_t stop)
{
    const struct attention_shape *c = a->c;
    const size_t l = n * ATTENTION_LANES;
    const struct panel_range *s = &p->seen[n];

    a->by16->tile(
        &(struct attention16_tile){.head_dim = c->head_dim,
                                   .value_dim = attention_value_dim(c),
                                   .q = (const uint32_t *)(const void *)(p->q + l * p->qs),
                                   .block = packed_block(a, t->seq, b / ATTENTION_KEYS, kv),
                                   .x = p->x + l * p->xs,
                                   .most = p->most + l,
                                   .sum = p->sum + l,
                                   .low = p->low + l,
                                   .high = p->high + l,
                                   .cap = c->cap,
                                   .first = b,
                                   .keys = stop - b,
                                   .masked = s->all_low > b || s->all_high < stop},
        p->room);
}

/* Blocks of keys begin at multiples of ATTENTION_KEYS, whoever looks at them: so a row's sums are
 * the same in any block of rows, and behind a cache. */
static int attention_task(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct attention *a = ctx;
    const struct task *t = &a->tasks[i / a->c->kv_heads];
    const size_t kv = i % a->c->kv_heads;
    const struct panels p = panels_cut(a, t, a->scores + worker * a->room);
    size_t from, end;

    (void)e;
    panels_begin(a, t, kv, &p);
    attention_range(a, t, &from, &end);
    if (a->by16)
        a->by16->begin();
    for (size_t b = from / ATTENTION_KEYS * ATTENTION_KEYS; b < end; b += ATTENTION_KEYS)
        for (size_t n = 0; n < p.count; n++) {
            const struct panel_range s = p.seen[n];
            const size_t stop = s.high < b + ATTENTION_KEYS ? s.high : b + ATTENTION_KEYS;

            if (s.low >= b + ATTENTION_KEYS || stop <= b)
                continue;
            (a->by16 ? panel_run16 : panel_run)(a, t, kv, &p, n, b, stop);
        }
    if (a->by16)
        a->by16->end();
    panels_end(a, t, kv, &p);
    return 0;
}

/* Last blocks first: they see the most keys. Returns how many. */
static size_t tasks_make(const struct rows *r, const size_t *first, size_t rows, struct task *tasks)
{
    size_t n = 0, start = 0;

    for (size_t s = 0; s < r->nseq; s++) {
        const size_t length = (size_t)r->lengths[s], before = first ? first[s] : 0;

        for (size_t b = (length + rows - 1) / rows; b-- > 0; n++)
            if (tasks)
                tasks[n] =
                    (struct task){.seq = s,
                                  .row = start + b * rows,
                                  .at = before + b * rows,
                                  .start = start,
                                  .keys = before + length,
                                  .rows = length - b * rows < rows ? length - b * rows : rows};
        start += length;
    }
    return n;
}

static int attention_tasks(struct par *par, struct attention *a, const struct rows *r,
                           const size_t *first, struct err *e)
{
    const size_t rows = task_rows(a->c), n = tasks_make(r, first, rows, NULL);
    struct task *tasks = mem_array(n, sizeof *tasks, e);
    int rc = -1;

    if (!tasks)
        return -1;
    tasks_make(r, first, rows, tasks);
    a->tasks = tasks;
    a->image = attention_image(a->c, r);
    a->room = attention_room(a);
    a->scores = mem_raw(a->room * par_threads(par), sizeof *a->scores, e);
    if (a->scores)
        rc = par_for(par, n * a->c->kv_heads, attention_task, a, e);
    free(a->scores);
    free(tasks);
    return rc;
}

int attention_run(struct par *par, const struct attention_shape *c, const struct rows *r,
                  const float *q, size_t ldq, const float *k, size_t ldk, const float *v,
                  size_t ldv, float *x, struct err *e)
{
    struct attention a = {
        .c = c, .q = q, .k = k, .v = v, .ldq = ldq, .ldk = ldk, .ldv = ldv, .x = x};

    return attention_tasks(par, &a, r, NULL, e);
}

/* ---- with products of bf16 ---- */

struct pack {
    const struct attention *a;
    const struct rows *r;
    const size_t *seq; /* [blocks] of which sequence */
    uint16_t *to;
};

static int pack_block(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct pack *p = ctx;
    const struct attention *a = p->a;
    const size_t kv = i % a->c->kv_heads, block = i / a->c->kv_heads, s = p->seq[block],
                 hd = a->c->head_dim, vd = attention_value_dim(a->c),
                 at = (block - a->first_block[s]) * ATTENTION_KEYS,
                 left = (size_t)p->r->lengths[s] - at;
    size_t row = at;

    (void)worker;
    (void)e;
    for (size_t n = 0; n < s; n++)
        row += (size_t)p->r->lengths[n];
    attention16_pack(hd, vd, left < ATTENTION_KEYS ? left : ATTENTION_KEYS,
                     a->k + row * a->ldk + kv * hd, a->ldk, a->v + row * a->ldv + kv * vd, a->ldv,
                     p->to + i * attention16_block(hd, vd));
    return 0;
}

int attention_run16(struct par *par, const struct attention16 *by, const struct attention_shape *c,
                    const struct rows *r, const float *q, size_t ldq, const float *k, size_t ldk,
                    const float *v, size_t ldv, float *x, struct err *e)
{
    struct attention a = {
        .by16 = by, .c = c, .q = q, .k = k, .v = v, .ldq = ldq, .ldk = ldk, .ldv = ldv, .x = x};
    size_t blocks = 0, *first = mem_array(r->nseq + 1, sizeof *first, e), *seq = NULL;
    struct pack p = {.a = &a, .r = r};
    int rc = -1;

    for (size_t s = 0; first && s < r->nseq; s++) {
        first[s] = blocks;
        blocks += ((size_t)r->lengths[s] + ATTENTION_KEYS - 1) / ATTENTION_KEYS;
    }
    if (!first || !(seq = mem_array(blocks + 1, sizeof *seq, e)) ||
        !(p.to =
              mem_raw(blocks * c->kv_heads * attention16_block(c->head_dim, attention_value_dim(c)),
                      sizeof *p.to, e)))
        goto out;
    for (size_t s = 0; s < r->nseq; s++)
        for (size_t b = first[s]; b < (s + 1 < r->nseq ? first[s + 1] : blocks); b++)
            seq[b] = s;
    a.first_block = first;
    a.packed = p.to;
    p.seq = seq;
    if (par_for(par, blocks * c->kv_heads, pack_block, &p, e) == 0)
        rc = attention_tasks(par, &a, r, NULL, e);
out:
    free(p.to);
    free(seq);
    free(first);
    return rc;
}

int attention_cached(struct par *par, const struct attention_shape *c, const struct rows *r,
                     const size_t *first, const float *q, size_t ldq, const float *const *keys,
                     size_t ldk, const float *const *values, size_t ldv, float *x, struct err *e)
{
    struct attention a = {
        .c = c, .q = q, .keys = keys, .values = values, .ldq = ldq, .ldk = ldk, .ldv = ldv, .x = x};

    return attention_tasks(par, &a, r, first, e);
}

/* ---- what each token receives ---- */

struct receive {
    struct attention a;
    const struct task *whole; /* of each sequence: its rows, as if they were one block */
    double *heads;            /* [heads, T] */
    size_t T;
};

/* One head of one sequence, its blocks in order: who runs it changes no sum. */
static int receive_task(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct receive *v = ctx;
    const struct task *w = &v->whole[i / v->a.c->heads];
    const size_t head = i % v->a.c->heads;
    float *s = v->a.scores + worker * v->a.room, sum[ATTENTION_QUERIES];
    double *out = v->heads + head * v->T + w->row;

    for (size_t b = 0; b < w->rows; b += ATTENTION_QUERIES) {
        const struct task t = {.seq = w->seq,
                               .row = w->row + b,
                               .at = b,
                               .start = w->row,
                               .keys = w->rows,
                               .rows = w->rows - b < ATTENTION_QUERIES ? w->rows - b
                                                                       : ATTENTION_QUERIES};
        size_t from, end;

        attention_range(&v->a, &t, &from, &end);
        if (attention_scores(&v->a, &t, head, from, end - from, s, sum, e) < 0)
            return -1;
        for (size_t j = 0; j < t.rows; j++)
            vec_add_scaled(out + from, s + j * (end - from), end - from, 1 / (double)sum[j]);
    }
    return 0;
}

int attention_received(struct par *par, const struct blas_table *by,
                       const struct attention_shape *c, const struct rows *r, const float *q,
                       size_t ldq, const float *k, size_t ldk, double *received, struct err *e)
{
    struct receive v = {.a = {.by = by,
                              .c = c,
                              .q = q,
                              .k = k,
                              .ldq = ldq,
                              .ldk = ldk,
                              .image = attention_image(c, r)},
                        .T = r->T};
    struct task *whole = mem_array(r->nseq, sizeof *whole, e);
    size_t start = 0, most = 0;
    int rc = -1;

    for (size_t s = 0; whole && s < r->nseq; s++) {
        whole[s] = (struct task){.seq = s, .row = start, .rows = (size_t)r->lengths[s]};
        start += whole[s].rows;
        if (whole[s].rows > most)
            most = whole[s].rows;
    }
    v.whole = whole;
    v.a.room = most * ATTENTION_QUERIES;
    v.a.scores = whole ? mem_raw(v.a.room * par_threads(par), sizeof *v.a.scores, e) : NULL;
    v.heads = v.a.scores ? mem_array(c->heads * r->T, sizeof *v.heads, e) : NULL;
    if (v.heads && par_for(par, r->nseq * c->heads, receive_task, &v, e) == 0) {
        memset(received, 0, r->T * sizeof *received);
        for (size_t h = 0; h < c->heads; h++)
            for (size_t t = 0; t < r->T; t++)
                received[t] += v.heads[h * r->T + t];
        rc = 0;
    }
    free(v.heads);
    free(v.a.scores);
    free(whole);
    return rc;
}
