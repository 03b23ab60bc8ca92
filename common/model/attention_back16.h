/* SPDX-License-Identifier: Apache-2.0 */
/* attention_back16 - the way back of attention with products of bf16: queries, keys, values, the
 * gradient of the result, the weights of the softmax and the gradients of the scores are rounded to
 * it; sums, the softmax and its way back are f32. One task works on a sequence and the heads that
 * share keys and values; all it is asked comes in order. Private to common/model. */
#ifndef PTQ_ATTENTION_BACK16_H
#define PTQ_ATTENTION_BACK16_H

#include "../base/par.h"
#include "attention.h"
#include "attention_parts.h"

struct attention_back16 {
    const struct attention *a; /* borrowed, as g */
    const struct attention_grads *g;
    size_t T, keys;          /* keys: of the longest sequence, to a whole number of pieces */
    uint16_t *q, *k, *v, *x; /* [T and a piece], dense; q times the scale, x the gradient of it */
    char *room;              /* of each worker */
    size_t room_bytes;
};

/* T rows in all, `most` in the longest sequence. To be released in any case. */
int attention_back16_make(struct attention_back16 *b, struct par *par, const struct attention *a,
                          const struct attention_grads *g, size_t T, size_t most, struct err *e);
void attention_back16_release(struct attention_back16 *b);
/* Before the first block of a task, and behind its last one, which adds to g->k and g->v. */
void attention_back16_begin(const struct attention_back16 *b, size_t worker);
void attention_back16_end(const struct attention_back16 *b, const struct task *whole, size_t kv,
                          size_t worker);
/* One head of a block: adds to g->q. *sink: its gradient. */
int attention_back16_head(const struct attention_back16 *b, const struct task *t, size_t head,
                          size_t worker, double *sink, struct err *e);

#endif
