/* SPDX-License-Identifier: Apache-2.0 */
/* block_parts - what block.c and block_run.c share; nobody else includes this. */
#ifndef PTQ_BLOCK_PARTS_H
#define PTQ_BLOCK_PARTS_H

#include "model_parts.h"
#include "op.h"

struct block {
    struct model *m;
    size_t index;
    struct program p;
    float **w; /* [nops] the tensor of each operation; NULL: not loaded, or not there */
    /* of the step at work, and until the next one: */
    float *room;              /* the model's scratch */
    size_t *offset;           /* [nslots] of each slot in room */
    struct op_groups *groups; /* [nslots] of the slots that routes wrote */
};

#endif
