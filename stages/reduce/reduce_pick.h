/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_pick - some rows of a chunk as a message of their own would hold them. Private to the
 * stage. */
#ifndef PTQ_REDUCE_PICK_H
#define PTQ_REDUCE_PICK_H

#include "reduce_sum.h"

struct picked {
    struct acts_view view; /* T may be 0 */
    struct tensor x, xf;
};

/* The rows t with of[t] == which (of NULL: all are 0), in memory of the scratch, until the next
 * time. */
int pick_rows(struct picked *to, const struct acts_view *a, const uint8_t *of, uint8_t which,
              struct sums_scratch *t, struct err *e);
/* Rows that a router sent: all, where it is not said which. */
uint64_t pick_count(const struct acts_view *a);

#endif
