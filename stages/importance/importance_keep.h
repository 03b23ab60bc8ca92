/* SPDX-License-Identifier: Apache-2.0 */
/* importance_keep - the raw values, for scripts: a safetensors file with a tensor [T] F32 for each
 * linear, over all tokens in the order of the chunks, and `loss` [1]. Private to the stage. */
#ifndef PTQ_IMPORTANCE_KEEP_H
#define PTQ_IMPORTANCE_KEEP_H

#include "../../common/model/block_back.h"
#include "importance_types.h"

/* What a linear gave: sum [x->count] of |g| over its channels. */
int keep_add(struct importance_held *h, const struct block_back_rows *x, const float *sum,
             struct err *e);
/* held [n] in the order of the chunks. */
int keep_write(const char *path, struct importance_held *const *held, size_t n, double loss,
               struct err *e);

#endif
