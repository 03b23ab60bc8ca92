/* attention - softmax(q k' / sqrt(head_dim)) v, causal, with an optional window, sequence by sequence. */
#ifndef PTQ_ATTENTION_H
#define PTQ_ATTENTION_H

#include <stddef.h>
#include "../base/err.h"
#include "../base/par.h"
#include "config.h"
#include "model.h"

/* q [T, heads*head_dim], k and v [T, kv_heads*head_dim], rotated and with row distances of their own; x [T, heads*head_dim], dense. */
int attention_run(struct par *par, const struct config *c, const struct rows *r, const float *q, size_t ldq, const float *k, size_t ldk,
                  const float *v, size_t ldv, float *x, struct err *e);

#endif
