/* SPDX-License-Identifier: Apache-2.0 */
/* slide_fold - alpha goes into the checkpoint: the norm before the linears is divided by it, and
 * the matrices that read the same and are not quantized are multiplied. Private to the stage. */
#ifndef PTQ_SLIDE_FOLD_H
#define PTQ_SLIDE_FOLD_H

#include "slide_block.h"

#define SLIDE_FOLDED (1 + BLOCK_FOLD_READERS)

struct slide_folded {
    struct tensor t[SLIDE_FOLDED]; /* of the types of the checkpoint, owned */
    size_t count;                  /* 0: alpha is 1 */
};

/* The tensors that take alpha number i of the block. The norm's type rounds them: alpha becomes
 * what it then stands for. To be released in any case. ERR_DATA: a number overflows the type. */
int slide_fold_settle(struct slide_block *b, size_t i, struct slide_folded *f, struct err *e);
void slide_fold_release(struct slide_folded *f);

#endif
