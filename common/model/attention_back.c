/* SPDX-License-Identifier: Apache-2.0 */
/* attention_back - the vector-Jacobian product of attention: one task per sequence and head of the
 * keys. The query heads that share it and their blocks come in order, so that the sums into the
 * gradients of k and v depend on no thread. Scores are made again, as in the forward. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "attention.h"
#include "attention_parts.h"
#include "vec.h"

struct back {
    struct attention a;
    const struct attention_grads *g;
    const struct task *whole; /* of each sequence: its rows, as if they were one block */
    size_t most;              /* rows of the longest */
};

/* p: the softmax, d: the gradient of what it is multiplied with, which becomes that of the
 * scores; z: the scores before the cap, where there is one. The gradient of a sink, whose share is
 * what the others leave. */
static double softmax_back(const struct attention_shape *c, const struct task *t, size_t keys,
                           const float *p, float *z, float *d)
{
    double sink = 0;

    if (c->cap != 0)
        vec_cap(z, t->rows * keys, c->cap);
    for (size_t j = 0; j < t->rows; j++) {
        const float *pj = p + j * keys, *zj = z + j * keys;
        float *dj = d + j * keys;
        double along = 0, rest = 1;

        for (size_t k = 0; k < keys; k++) {
            along += (double)pj[k] * (double)dj[k];
            rest -= (double)pj[k];
        }
        sink -= rest * along;
        for (size_t k = 0; k < keys; k++)
            dj[k] = pj[k] * (dj[k] - (float)along);
        for (size_t k = 0; c->cap != 0 && k < keys; k++)
            dj[k] *= 1.0f - zj[k] / c->cap * (zj[k] / c->cap);
    }
    return sink;
}

/* One head of a block. room: three times the scores of one. */
static int block_back(const struct back *b, const struct task *t, size_t head, float *room,
                      struct err *e)
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
    double sink;

    if (attention_scores(a, t, head, from, keys, p, sum, e) < 0 ||
        (c->cap != 0 && attention_products(a, t, head, from, keys, z, e) < 0))
        return -1;
    for (size_t j = 0; j < t->rows; j++)
        vec_scale(p + j * keys, keys, 1.0f / sum[j]);
    if (a->by->sgemm(1, 0, keys, vd, t->rows, 1.0f, p, keys, dx, ldx, 1.0f,
                     b->g->v + at * a->ldv + kv * vd, a->ldv, e) < 0 ||
        a->by->sgemm(0, 1, t->rows, keys, vd, 1.0f, dx, ldx, v, a->ldv, 0.0f, d, keys, e) < 0)
        return -1;
    sink = softmax_back(c, t, keys, p, z, d);
    if (b->g->sinks)
        b->g->sinks[t->seq * c->heads + head] += sink;
    return a->by->sgemm(0, 0, t->rows, hd, keys, scale, d, keys, k, a->ldk, 1.0f,
                        b->g->q + t->row * a->ldq + head * hd, a->ldq, e) < 0 ||
                   a->by->sgemm(1, 0, keys, hd, t->rows, scale, d, keys, q, a->ldq, 1.0f,
                                b->g->k + at * a->ldk + kv * hd, a->ldk, e) < 0
               ? -1
               : 0;
}

static int back_task(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct back *b = ctx;
    const struct attention_shape *c = b->a.c;
    const struct task *w = &b->whole[i / c->kv_heads];
    const size_t shared = c->heads / c->kv_heads, first = i % c->kv_heads * shared;

    for (size_t head = first; head < first + shared; head++)
        for (size_t r = 0; r < w->rows; r += ATTENTION_QUERIES) {
            const struct task t = {.seq = w->seq,
                                   .row = w->row + r,
                                   .at = r,
                                   .start = w->row,
                                   .keys = w->rows,
                                   .rows = w->rows - r < ATTENTION_QUERIES ? w->rows - r
                                                                           : ATTENTION_QUERIES};

            if (block_back(b, &t, head, b->a.scores + worker * b->a.room, e) < 0)
                return -1;
        }
    return 0;
}

int attention_back(struct par *par, const struct blas_table *by, const struct attention_shape *c,
                   const struct rows *r, const float *q, size_t ldq, const float *k, size_t ldk,
                   const float *v, size_t ldv, const struct attention_grads *g, struct err *e)
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
                     .g = g};
    struct task *whole = mem_array(r->nseq, sizeof *whole, e);
    size_t start = 0;
    int rc = -1;

    for (size_t s = 0; whole && s < r->nseq; s++) {
        whole[s] = (struct task){.seq = s, .row = start, .rows = (size_t)r->lengths[s]};
        start += whole[s].rows;
        b.most = whole[s].rows > b.most ? whole[s].rows : b.most;
    }
    b.whole = whole;
    b.a.room = 3 * b.most * (b.most < ATTENTION_QUERIES ? b.most : ATTENTION_QUERIES);
    b.a.scores = whole ? mem_raw(b.a.room * par_threads(par), sizeof *b.a.scores, e) : NULL;
    if (b.a.scores)
        rc = par_for(par, r->nseq * c->kv_heads, back_task, &b, e);
    free(b.a.scores);
    free(whole);
    return rc;
}
