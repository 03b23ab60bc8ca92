/* SPDX-License-Identifier: Apache-2.0 */
/* block_values - what a program computes, kept for the way back. A value is what stands in a slot
 * between two operations that write it. One that a product reads keeps its room; one that nobody
 * reads again gives it to the next value of its slot. Private to common/model. */
#ifndef PTQ_BLOCK_VALUES_H
#define PTQ_BLOCK_VALUES_H

#include "program.h"

struct block_value {
    int slot, kept;
    size_t before; /* the value that stood there; SIZE_MAX: none */
    size_t room;   /* the first value that has it */
};

struct block_values {
    size_t (*in)[OP_INPUTS];   /* [nops] that an operation reads */
    size_t *out;               /* [nops] that it writes; SIZE_MAX: it does not run */
    struct block_value *value; /* [count]; the first is what the stream brings */
    size_t count;
};

/* Of operations before `to`; skipped [nops] 1: it does not run; NULL: all do. To be released in any
 * case. */
int block_values_make(struct block_values *v, const struct program *p, size_t to,
                      const unsigned char *skipped, struct err *e);
void block_values_release(struct block_values *v);

/* What stands in the slot that an operation writes takes part in what it leaves there. */
int block_values_go_on(const struct op *o);
/* Nothing before operation i has to do with the gradient of the value that it writes. */
int block_values_begin(const struct block_values *v, const struct program *p, size_t i);
/* Floats of a chunk of T tokens: values and gradients, at most, while all operations are run and
 * taken back. */
double block_values_floats(const struct block_values *v, const struct program *p, size_t T);

#endif
