/* SPDX-License-Identifier: Apache-2.0 */
/* attention - softmax(scale q k') v, sequence by sequence: causal, with an optional window, or to
 * both sides. */
#ifndef PTQ_ATTENTION_H
#define PTQ_ATTENTION_H

#include <stddef.h>
#include "../base/err.h"
#include "../base/par.h"
#include "rows.h"

/* Where a thread holds the scores of some queries against all keys: so many. */
#define ATTENTION_QUERIES 128

struct blas_table; /* blas.h: whose products */

struct attention_shape {
    size_t heads, kv_heads, head_dim;
    size_t window;    /* 0: none; key j is visible to i when i - window < j <= i */
    int both;         /* every key of the sequence is visible */
    int images;       /* tokens of one image see each other, beyond the window too (rows_seen) */
    float scale;      /* of the scores; 0: 1 / sqrt(head_dim) */
    float cap;        /* scores become cap tanh(score / cap); 0: none */
    size_t value_dim; /* of a head of v and of x; 0: head_dim */
    /* [heads] a score that each head has beside those of its keys: its share of the softmax is
     * dropped. NULL: none. */
    const float *sinks;
};

size_t attention_value_dim(const struct attention_shape *c);

/* q [T, heads*head_dim], k [T, kv_heads*head_dim] and v [T, kv_heads*value_dim], rotated and with
 * row distances of their own; x [T, heads*value_dim], dense. */
int attention_run(struct par *par, const struct attention_shape *c, const struct rows *r,
                  const float *q, size_t ldq, const float *k, size_t ldk, const float *v,
                  size_t ldv, float *x, struct err *e);

/* The same with products of bf16: by is one of attention16_nth(). */
struct attention16;
int attention_run16(struct par *par, const struct attention16 *by, const struct attention_shape *c,
                    const struct rows *r, const float *q, size_t ldq, const float *k, size_t ldk,
                    const float *v, size_t ldv, float *x, struct err *e);

/* The same for rows that come behind others: sequence s has r->lengths[s] queries at the
 * positions first[s] and on; keys[s] and values[s] hold its rows from position 0 to the last of
 * these queries, ldk and ldv floats apart. */
int attention_cached(struct par *par, const struct attention_shape *c, const struct rows *r,
                     const size_t *first, const float *q, size_t ldq, const float *const *keys,
                     size_t ldk, const float *const *values, size_t ldv, float *x, struct err *e);

/* received [T]: the attention that each token gets, a sum over heads and over the queries of its
 * sequence that see it, in f64. The sum of a sequence is heads x its tokens. */
int attention_received(struct par *par, const struct blas_table *by,
                       const struct attention_shape *c, const struct rows *r, const float *q,
                       size_t ldq, const float *k, size_t ldk, double *received, struct err *e);

/* The way back of attention_run: g->x [T, heads*value_dim] is the gradient of its result; to the
 * others are added those of q, k and v, which lie as these do. sinks [nseq, heads]: to be written,
 * of each sequence; NULL: not asked for. half: products are of bf16 (blas_has_bf16 says 1). */
struct attention_grads {
    const float *x;
    float *q, *k, *v;
    double *sinks;
};
int attention_back(struct par *par, const struct blas_table *by, int half,
                   const struct attention_shape *c, const struct rows *r, const float *q,
                   size_t ldq, const float *k, size_t ldk, const float *v, size_t ldv,
                   const struct attention_grads *g, struct err *e);

#endif
