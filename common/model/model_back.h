/* SPDX-License-Identifier: Apache-2.0 */
/* model_back - the cross-entropy of a model's predictions, and its way back through all blocks.
 *
 * Of each sequence L is the mean of -log p of the tokens that are predicted; sequences do not
 * meet, so one pass gives the gradients of each L. The hidden states before each block are kept
 * ([layers + 1, T, d] of each chunk); the inside of a block is computed again when its turn comes
 * (block_back.h). Each block is loaded twice, whatever the number of chunks. Results of a chunk
 * depend neither on the others nor on threads. */
#ifndef PTQ_MODEL_BACK_H
#define PTQ_MODEL_BACK_H

#include "block_back.h"
#include "seen.h"

struct model_back_chunk {
    const struct rows *rows;
    const struct seen *seen;  /* the images in its text, which rows name too; NULL: text alone */
    const int32_t *ids;       /* [T] */
    const uint8_t *predicted; /* [T] 1: the token is predicted, from those before it; of the first
                                 of a sequence it is not asked */
    double *loss;             /* [nseq] is written: L of each sequence; NaN where no token of it is
                                 predicted, and then its gradients are 0 */
};

struct model_back_ask {
    /* Gradients of the outputs of linears, the last one first (block_back.h); block = layers: of
     * the head, once for some of its rows at a time, those that predict nothing left out. */
    int (*linear)(void *ctx, size_t chunk, size_t block, const struct block_back_rows *x,
                  struct err *e);
    /* May be NULL: behind a block, with what block_back_tensor gives, and the gradient [T, d] of
     * what the block got. */
    int (*block)(void *ctx, size_t chunk, size_t block, const struct block_back *k, const float *g,
                 struct err *e);
    int tensors;                                      /* 1: gradients of parameters too */
    int (*stop)(void *ctx);                           /* 1: leave off, with an error; may be NULL */
    void (*step)(void *ctx, size_t done, size_t all); /* chunks in blocks; may be NULL */
    void *ctx;
};

/* Every block of the model can be run backwards: an error that names the operation that cannot. */
int model_back_check(struct model *m, struct err *e);
int model_back_run(struct model *m, const struct model_back_chunk *chunk, size_t n,
                   const struct model_back_ask *ask, struct err *e);
/* Bytes of the hidden states that it keeps for each token. */
uint64_t model_back_kept(const struct config *c);

/* ---- one end ---- */

/* The losses of a chunk whose stream behind the last block is h [T,d], which becomes the gradient
 * of their sum. linear (may be NULL) is called for the head. */
int model_loss(struct model *m, const struct model_back_chunk *c, float *h,
               int (*linear)(void *ctx, const struct block_back_rows *x, struct err *e), void *ctx,
               struct err *e);

#endif
