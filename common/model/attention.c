/* SPDX-License-Identifier: Apache-2.0 */
/* attention - one task per sequence, head and block of queries: scores against the keys that the
 * block can see, softmax in place, product with the values, division by the sum last. Keys
 * beyond the block and before its window are never touched, which saves half of the work; scores
 * of one block are all the memory it needs. Keys and values are those of the chunk itself or of
 * a cache. Leaves out: biases. */
#include "attention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "attention_parts.h"
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

int attention_scores(const struct attention *a, const struct task *t, size_t head, size_t from,
                     size_t keys, float *s, float *sum, struct err *e)
{
    const struct attention_shape *c = a->c;

    if (attention_products(a, t, head, from, keys, s, e) < 0)
        return -1;
    for (size_t j = 0; j < t->rows; j++) {
        size_t low, high;

        row_range(a, t, j, &low, &high);
        if (c->cap != 0)
            vec_cap(s + j * keys + (low - from), high - low, c->cap);
        sum[j] = softmax_row(s + j * keys, keys, low - from, high - from,
                             c->sinks ? c->sinks + head : NULL);
    }
    return 0;
}

static int attention_task(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct attention *a = ctx;
    const struct attention_shape *c = a->c;
    const struct task *t = &a->tasks[i / c->heads];
    const size_t head = i % c->heads, kv = head / (c->heads / c->kv_heads),
                 vd = attention_value_dim(c), ldx = c->heads * vd;
    size_t from, end;
    const float *v;
    float *s = a->scores + worker * a->room, sum[ATTENTION_QUERIES],
          *x = a->x + t->row * ldx + head * vd;

    attention_range(a, t, &from, &end);
    v = (a->values ? a->values[t->seq] : a->v + t->start * a->ldv) + from * a->ldv + kv * vd;
    if (attention_scores(a, t, head, from, end - from, s, sum, e) < 0 ||
        a->by->sgemm(0, 0, t->rows, vd, end - from, 1.0f, s, end - from, v, a->ldv, 0.0f, x, ldx,
                     e) < 0)
        return -1;
    for (size_t j = 0; j < t->rows; j++)
        vec_scale(x + j * ldx, vd, 1.0f / sum[j]);
    return 0;
}

/* Last blocks first: they see the most keys. Returns how many; *most: the keys that a task may
 * see. */
static size_t tasks_make(const struct rows *r, const size_t *first, struct task *tasks,
                         size_t *most)
{
    size_t n = 0, start = 0;

    *most = 0;
    for (size_t s = 0; s < r->nseq; s++) {
        size_t length = (size_t)r->lengths[s], before = first ? first[s] : 0;

        for (size_t b = (length + ATTENTION_QUERIES - 1) / ATTENTION_QUERIES; b-- > 0; n++)
            if (tasks)
                tasks[n] = (struct task){.seq = s,
                                         .row = start + b * ATTENTION_QUERIES,
                                         .at = before + b * ATTENTION_QUERIES,
                                         .start = start,
                                         .keys = before + length,
                                         .rows = length - b * ATTENTION_QUERIES < ATTENTION_QUERIES
                                                     ? length - b * ATTENTION_QUERIES
                                                     : ATTENTION_QUERIES};
        if (before + length > *most)
            *most = before + length;
        start += length;
    }
    return n;
}

static int attention_tasks(struct par *par, struct attention *a, const struct rows *r,
                           const size_t *first, struct err *e)
{
    size_t most, n = tasks_make(r, first, NULL, &most), rows = 0;
    struct task *tasks = mem_array(n, sizeof *tasks, e);
    int rc = -1;

    if (!tasks)
        return -1;
    tasks_make(r, first, tasks, &most);
    for (size_t i = 0; i < n; i++)
        if (tasks[i].rows > rows)
            rows = tasks[i].rows;
    a->tasks = tasks;
    a->image = attention_image(a->c, r);
    a->room = most * rows;
    a->scores = mem_raw(a->room * par_threads(par), sizeof *a->scores, e);
    if (a->scores)
        rc = par_for(par, n * a->c->heads, attention_task, a, e);
    free(a->scores);
    free(tasks);
    return rc;
}

int attention_run(struct par *par, const struct blas_table *by, const struct attention_shape *c,
                  const struct rows *r, const float *q, size_t ldq, const float *k, size_t ldk,
                  const float *v, size_t ldv, float *x, struct err *e)
{
    struct attention a = {
        .by = by, .c = c, .q = q, .k = k, .v = v, .ldq = ldq, .ldk = ldk, .ldv = ldv, .x = x};

    return attention_tasks(par, &a, r, NULL, e);
}

int attention_cached(struct par *par, const struct blas_table *by, const struct attention_shape *c,
                     const struct rows *r, const size_t *first, const float *q, size_t ldq,
                     const float *const *keys, size_t ldk, const float *const *values, size_t ldv,
                     float *x, struct err *e)
{
    struct attention a = {.by = by,
                          .c = c,
                          .q = q,
                          .keys = keys,
                          .values = values,
                          .ldq = ldq,
                          .ldk = ldk,
                          .ldv = ldv,
                          .x = x};

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
