/* SPDX-License-Identifier: Apache-2.0 */
/* importance_weights - from gradients of outputs to weights of tokens.
 *
 * TLQ (arXiv 2602.07899): its formula is not published; here g_t, the mean over the output channels
 * of |dL/dY_t|, brought to mean 1 in each sequence, clipped, and to mean 1 again. MBQ (arXiv
 * 2412.19509): a ratio for image tokens in each block, of attention and of MLP. Private to the
 * stage. */
#ifndef PTQ_IMPORTANCE_WEIGHTS_H
#define PTQ_IMPORTANCE_WEIGHTS_H

#include <stddef.h>
#include "importance_types.h"

/* w [n] of one sequence from g [n], in place: 1 where g is NaN (the site did not get the token).
 * With select only the largest ceil(select n) of them count, of equal ones the first. 0: g tells
 * none apart, each is 1. -1: no memory. */
int weights_of_tokens(float *g, size_t n, const struct importance_opts *o, struct err *e);

enum { MBQ_ATTENTION, MBQ_MLP, MBQ_PARTS };

/* Sums over the samples of a run. */
struct weights_mbq {
    size_t blocks;
    double *vision, *answer; /* [blocks, MBQ_PARTS] */
    size_t *samples;         /* [blocks, MBQ_PARTS] */
    double *rho;             /* [blocks, MBQ_PARTS] by weights_mbq_end */
};
int weights_mbq_init(struct weights_mbq *q, size_t blocks, struct err *e);
void weights_mbq_release(struct weights_mbq *q);
/* One sample: mean of g over its image tokens, and over its answer tokens; it counts where it has
 * both. */
void weights_mbq_add(struct weights_mbq *q, size_t block, int part, const float *g,
                     const uint8_t *modality, const uint8_t *answer, size_t n);
/* rho = max(vision / answer, the median of that over the blocks). -1: no sample had both. */
int weights_mbq_end(struct weights_mbq *q, struct err *e);

#endif
