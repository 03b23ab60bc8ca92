/* SPDX-License-Identifier: Apache-2.0 */
/* attention_back - the vector-Jacobian product of attention: one task per sequence and head of the
 * keys. The query heads that share it and their blocks come in order, so that the sums into the
 * gradients of k and v depend on no thread. Scores are made again, as in the forward. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/each_cpu.h"
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "attention.h"
#include "attention_back16.h"
#include "attention_parts.h"
#include "vec.h"

struct back {
    struct attention a;
    const struct attention_grads *g;
    const struct task *whole; /* of each sequence: its rows, as if they were one block */
    size_t most;              /* rows of the longest */
    struct attention_back16 by16;
    int half; /* by16 does it */
};

/* ---- the softmax: sums of a row in LANES lanes, put together in their order ---- */

enum { LANES = 8 };

/* along: of p d, all: of p. */
EACH_BODY row_sums_body(const float *restrict p, const float *restrict d, size_t n, double *along,
                        double *all)
{
    double a[LANES] = {0}, s[LANES] = {0};
    size_t k = 0;

    for (; k + LANES <= n; k += LANES)
        for (size_t l = 0; l < LANES; l++) {
            a[l] += (double)p[k + l] * (double)d[k + l];
            s[l] += (double)p[k + l];
        }
    for (size_t l = 0; k + l < n; l++) {
        a[l] += (double)p[k + l] * (double)d[k + l];
        s[l] += (double)p[k + l];
    }
    *along = *all = 0;
    for (size_t l = 0; l < LANES; l++) {
        *along += a[l];
        *all += s[l];
    }
}

static void row_sums(const float *restrict p, const float *restrict d, size_t n, double *along,
                     double *all);
EACH_CPU(row_sums,
         (const float *restrict p, const float *restrict d, size_t n, double *along, double *all),
         (p, d, n, along, all))

EACH_BODY row_slope_body(const float *restrict p, float *restrict d, size_t n, float along)
{
    for (size_t k = 0; k < n; k++)
        d[k] = p[k] * (d[k] - along);
}

static void row_slope(const float *restrict p, float *restrict d, size_t n, float along);
EACH_CPU(row_slope, (const float *restrict p, float *restrict d, size_t n, float along),
         (p, d, n, along))

EACH_BODY row_cap_body(const float *restrict z, float *restrict d, size_t n, float cap)
{
    for (size_t k = 0; k < n; k++)
        d[k] *= 1.0f - z[k] / cap * (z[k] / cap);
}

static void row_cap(const float *restrict z, float *restrict d, size_t n, float cap);
EACH_CPU(row_cap, (const float *restrict z, float *restrict d, size_t n, float cap), (z, d, n, cap))

double attention_softmax_back(const struct attention_shape *c, size_t rows, size_t keys,
                              const float *p, float *z, float *d)
{
    double sink = 0;

    if (c->cap != 0)
        vec_cap(z, rows * keys, c->cap);
    for (size_t j = 0; j < rows; j++) {
        float *dj = d + j * keys;
        double along, all;

        row_sums(p + j * keys, dj, keys, &along, &all);
        sink -= (1 - all) * along;
        row_slope(p + j * keys, dj, keys, (float)along);
        if (c->cap != 0)
            row_cap(z + j * keys, dj, keys, c->cap);
    }
    return sink;
}

/* ---- blocks ---- */

/* One head of a block; *sink: its gradient. room: three times the scores of one. */
static int block_back(const struct back *b, const struct task *t, size_t head, float *room,
                      double *sink, struct err *e)
{
    const struct attention *a = &b->a;
    const struct attention_shape *c = a->c;
    const size_t hd = c->head_dim, vd = attention_value_dim(c), ldx = c->heads * vd,
                 kv = head / (c->heads / c->kv_heads);
    size_t from, end;

    attention_range(a, t, &from, &end);

    const size_t keys = end - from, at = t->start + from;
    const float *q = a->q + t->row * a->ldq + head * hd, *k = a->k + at * a->ldk + kv * hd,
                *v = a->v + at * a->ldv + kv * vd, *dx = b->g->x + t->row * ldx + head * vd;
    float *p = room, *d = p + t->rows * keys, *z = d + t->rows * keys, sum[ATTENTION_QUERIES];
    const float scale = attention_scale(c);

    if (attention_scores(a, t, head, from, keys, p, sum, e) < 0 ||
        (c->cap != 0 && attention_products(a, t, head, from, keys, z, e) < 0))
        return -1;
    for (size_t j = 0; j < t->rows; j++)
        vec_scale(p + j * keys, keys, 1.0f / sum[j]);
    if (a->by->sgemm(1, 0, keys, vd, t->rows, 1.0f, p, keys, dx, ldx, 1.0f,
                     b->g->v + at * a->ldv + kv * vd, a->ldv, e) < 0 ||
        a->by->sgemm(0, 1, t->rows, keys, vd, 1.0f, dx, ldx, v, a->ldv, 0.0f, d, keys, e) < 0)
        return -1;
    *sink = attention_softmax_back(c, t->rows, keys, p, z, d);
    return a->by->sgemm(0, 0, t->rows, hd, keys, scale, d, keys, k, a->ldk, 1.0f,
                        b->g->q + t->row * a->ldq + head * hd, a->ldq, e) < 0 ||
                   a->by->sgemm(1, 0, keys, hd, t->rows, scale, d, keys, q, a->ldq, 1.0f,
                                b->g->k + at * a->ldk + kv * hd, a->ldk, e) < 0
               ? -1
               : 0;
}

static int one_head(const struct back *b, const struct task *t, size_t head, size_t worker,
                    struct err *e)
{
    double sink;
    int rc = b->half ? attention_back16_head(&b->by16, t, head, worker, &sink, e)
                     : block_back(b, t, head, b->a.scores + worker * b->a.room, &sink, e);

    if (rc == 0 && b->g->sinks)
        b->g->sinks[t->seq * b->a.c->heads + head] += sink;
    return rc;
}

static int back_task(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct back *b = ctx;
    const struct attention_shape *c = b->a.c;
    const struct task *w = &b->whole[i / c->kv_heads];
    const size_t shared = c->heads / c->kv_heads, kv = i % c->kv_heads;

    if (b->half)
        attention_back16_begin(&b->by16, worker);
    for (size_t head = kv * shared; head < (kv + 1) * shared; head++)
        for (size_t r = 0; r < w->rows; r += ATTENTION_QUERIES) {
            const struct task t = {.seq = w->seq,
                                   .row = w->row + r,
                                   .at = r,
                                   .start = w->row,
                                   .keys = w->rows,
                                   .rows = w->rows - r < ATTENTION_QUERIES ? w->rows - r
                                                                           : ATTENTION_QUERIES};

            if (one_head(b, &t, head, worker, e) < 0)
                return -1;
        }
    if (b->half)
        attention_back16_end(&b->by16, w, kv, worker);
    return 0;
}

static int room_make(struct back *b, struct par *par, const struct rows *r, struct err *e)
{
    if (b->half)
        return attention_back16_make(&b->by16, par, &b->a, b->g, r->T, b->most, e);
    b->a.room = 3 * b->most * (b->most < ATTENTION_QUERIES ? b->most : ATTENTION_QUERIES);
    b->a.scores = mem_raw(b->a.room * par_threads(par), sizeof *b->a.scores, e);
    return b->a.scores ? 0 : -1;
}

int attention_back(struct par *par, const struct blas_table *by, int half,
                   const struct attention_shape *c, const struct rows *r, const float *q,
                   size_t ldq, const float *k, size_t ldk, const float *v, size_t ldv,
                   const struct attention_grads *g, struct err *e)
{
    struct back b = {.a = {.by = by,
                           .c = c,
                           .q = q,
                           .k = k,
                           .v = v,
                           .ldq = ldq,
                           .ldk = ldk,
                           .ldv = ldv,
                           .image = attention_image(c, r)},
                     .g = g,
                     .half = half};
    struct task *whole = mem_array(r->nseq, sizeof *whole, e);
    size_t start = 0;
    int rc = -1;

    for (size_t s = 0; whole && s < r->nseq; s++) {
        whole[s] = (struct task){.seq = s, .row = start, .rows = (size_t)r->lengths[s]};
        start += whole[s].rows;
        b.most = whole[s].rows > b.most ? whole[s].rows : b.most;
    }
    b.whole = whole;
    if (whole && room_make(&b, par, r, e) == 0)
        rc = par_for(par, r->nseq * c->kv_heads, back_task, &b, e);
    attention_back16_release(&b.by16);
    free(b.a.scores);
    free(whole);
    return rc;
}
