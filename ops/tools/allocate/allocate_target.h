/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_target - what a choice of bits is to reach; the same words in ptq allocate, ptq run and
 * ptq plan. */
#ifndef PTQ_ALLOCATE_TARGET_H
#define PTQ_ALLOCATE_TARGET_H

#include <stdint.h>
#include "../../../common/base/err.h"

/* One of them, the others 0. */
struct allocate_target {
    double bpw;    /* bits a weight of all linears, at most */
    uint64_t size; /* bytes of all linears, at most */
    double qr;     /* share of their weights that is quantized, at least; the others are kept */
    double kl;     /* divergence from the model, at most */
};

/* How many are said. ERR_USE (-1): more than one. */
int allocate_target_count(const struct allocate_target *t, struct err *e);
/* The option of the one that is said, without "--", and its value. */
const char *allocate_target_name(const struct allocate_target *t);
double allocate_target_value(const struct allocate_target *t);
/* Bits a weight that a size leaves to so many weights; else t->bpw. */
double allocate_target_bits(const struct allocate_target *t, double weights);

#endif
