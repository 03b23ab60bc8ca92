/* SPDX-License-Identifier: Apache-2.0 */
/* attention_parts - what attention.c and attention_back.c share; nobody else includes this. */
#ifndef PTQ_ATTENTION_PARTS_H
#define PTQ_ATTENTION_PARTS_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"

struct attention_shape; /* attention.h */
struct rows;
struct blas_table; /* blas.h */
struct attention16;

struct task {
    /* rows of the block in the chunk; position of the first one in its sequence */
    size_t seq, row, rows, at;
    size_t start; /* first row of the sequence in the chunk */
    size_t keys;  /* of the sequence, those of a cache included */
};

struct attention {
    const struct blas_table *by; /* where scores are products of these */
    const struct attention_shape *c;
    const float *q, *k, *v;
    size_t ldq, ldk, ldv;
    /* of each sequence from position 0 on; NULL: k and v are rows of the chunk */
    const float *const *keys, *const *values;
    const int32_t *image; /* [T] of the chunk; NULL: it does not matter */
    float *x, *scores;
    size_t room;                    /* of these, those of one worker */
    const struct attention16 *by16; /* NULL: products of f32 */
    /* with by16: each block of keys of each sequence, of one head after the other
     * (attention16.h), and the number of the first one of a sequence */
    const uint16_t *packed;
    const size_t *first_block;
    const struct task *tasks;
};

float attention_scale(const struct attention_shape *c);
const int32_t *attention_image(const struct attention_shape *c, const struct rows *r);
/* The keys [low, high) of the sequence that a block sees. */
void attention_range(const struct attention *a, const struct task *t, size_t *low, size_t *high);
/* Of one head of a block: s [rows, keys] = scale q k', the keys from `from` on. */
int attention_products(const struct attention *a, const struct task *t, size_t head, size_t from,
                       size_t keys, float *s, struct err *e);
/* What becomes of them in place, the softmax without the division: s [rows, keys], 0 where a row
 * does not see a key; sum [rows]. */
void attention_softmax(const struct attention *a, const struct task *t, size_t head, size_t from,
                       size_t keys, float *s, float *sum);
/* Both. */
int attention_scores(const struct attention *a, const struct task *t, size_t head, size_t from,
                     size_t keys, float *s, float *sum, struct err *e);
/* The way back of the softmax of some rows of a block: p [rows, keys] is that softmax, d the
 * gradient of what it is multiplied with, which becomes that of the scores; z: the scores before
 * the cap, where there is one. Returns the gradient of a sink, whose share is what the keys leave.
 */
double attention_softmax_back(const struct attention_shape *c, size_t rows, size_t keys,
                              const float *p, float *z, float *d);

#endif
