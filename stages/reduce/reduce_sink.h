/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_sink - does the first token of each row hold nearly all that is summed? Many models rest
 * their attention on it, with inputs like no other token's: what the sums then say of the others
 * is little, and --first-weight is there to set that. Read off what is summed anyway. */
#ifndef PTQ_REDUCE_SINK_H
#define PTQ_REDUCE_SINK_H

#include <stdint.h>
#include "reduce_sum.h"

struct reduce_sink {
    double energy, first; /* of all rows; of the first of each sequence */
    double share;         /* first of energy, once it was noted */
    char name[96];        /* "b3.mlp.down" */
};

/* The rows that were added last. */
void sink_add(struct reduce_sink *x, const struct sums_scratch *t);
void sink_join(struct reduce_sink *x, const struct reduce_sink *y);
/* *noted becomes the first site of which the first tokens hold nearly all. */
void sink_note(struct reduce_sink *noted, const struct reduce_sink *x, uint64_t block,
               const char *site);

#endif
