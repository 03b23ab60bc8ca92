/* SPDX-License-Identifier: Apache-2.0 */
/* slide_block - a block of the model whose linears are being learned. Private to the stage. */
#ifndef PTQ_SLIDE_BLOCK_H
#define PTQ_SLIDE_BLOCK_H

#include "../../common/model/block_fold.h"
#include "slide_linear.h"

#define SLIDE_ALPHAS 2 /* what attention reads, and what the MLP does: its experts share it */

struct slide_block {
    struct model *m; /* borrowed */
    struct block *b; /* its linears hold what the last rounding gave */
    size_t index, count;
    struct slide_linear *linear;            /* [count] those of all sites, in their order */
    struct slide_param alpha[SLIDE_ALPHAS]; /* none without slide_shape.scales */
    struct block_fold fold[SLIDE_ALPHAS];   /* the tensors that take them */
    float *folded[SLIDE_ALPHAS][1 + BLOCK_FOLD_READERS]; /* what these were: norm, readers */
};

/* o: borrowed. */
struct slide_block *slide_block_open(struct model *m, size_t index, const struct slide_shape *o,
                                     uint64_t seed, struct err *e);
void slide_block_close(struct slide_block **b);
/* Rounds all linears into the block, and divides norms by alpha. */
int slide_block_round(struct slide_block *b, struct par *p, struct err *e);
/* Tensor i of those that take alpha number a: as the block has it now, and how many numbers; NULL:
 * none. */
const char *slide_block_folded(const struct slide_block *b, size_t a, size_t i, size_t *n);
void slide_block_divide(struct slide_block *b);
/* Where the rounded weights of a linear stand. */
float *slide_block_out(const struct slide_block *b, size_t linear);
/* Some sequences go through the block, h [T,d] with them; at each stop what `at` does with the rows
 * of its sites (block_site_rows). */
int slide_block_walk(const struct slide_block *b, const struct rows *r, float *h,
                     int (*at)(void *ctx, size_t stop, const struct rows *r, struct err *e),
                     void *ctx, struct err *e);
/* Each group of parameters, one after the other: which, and whether a step takes the rate of
 * clipping, of A B or of alpha. NULL behind the last one. */
enum slide_rate { SLIDE_RATE_CLIP, SLIDE_RATE_RANK, SLIDE_RATE_SCALE, SLIDE_RATES };
struct slide_param *slide_block_param(struct slide_block *b, size_t i, enum slide_rate *rate);

#endif
