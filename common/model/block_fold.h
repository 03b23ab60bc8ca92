/* SPDX-License-Identifier: Apache-2.0 */
/* block_fold - where the inputs of sites can be divided by a vector in the checkpoint itself: a
 * norm makes them, and only linears read them, perhaps rounded or sorted by expert first. Then the
 * norm's weights are divided by it, and the matrices of no site that read the same (routers)
 * multiplied. What it leaves out: inputs that a linear or an activation makes. */
#ifndef PTQ_BLOCK_FOLD_H
#define PTQ_BLOCK_FOLD_H

#include "model.h"

#define BLOCK_FOLD_READERS 4

struct block_fold { /* names of tensors, the block's */
    const char *norm;
    int one; /* it multiplies by 1 + its weights */
    const char *reader[BLOCK_FOLD_READERS];
    size_t readers;
};

/* sites [those of the block]: 1 for all whose inputs are to be divided by the same vector. 0: they
 * cannot be. */
int block_fold_find(const struct block *b, const unsigned char *sites, struct block_fold *f);
/* The numbers of such a tensor as the block has them, to be written; NULL: it has none of this
 * name. */
float *block_fold_tensor(struct block *b, const char *name);

#endif
