/* SPDX-License-Identifier: Apache-2.0 */
/* knapsack - of each class one item, so that the costs stay within a budget and the losses
 * together are least: the multiple-choice knapsack, solved exactly.
 *
 * States (cost, loss) of the classes so far that no other state beats in both, class by class;
 * those whose Lagrangian bound is above the best solution known are left out, which with the best
 * multiplier leaves few. Losses are f64: "least" is up to the rounding of their sums. */
#ifndef PTQ_KNAPSACK_H
#define PTQ_KNAPSACK_H

#include <stddef.h>
#include <stdint.h>
#include "../../../common/base/err.h"

struct knapsack_item {
    uint64_t cost;
    double loss; /* finite */
};

struct knapsack_class {
    size_t count; /* at least 1 */
    const struct knapsack_item *item;
};

struct knapsack_result {
    uint64_t cost;
    double loss;
    double bound; /* no choice can have less: the Lagrangian bound */
};

/* choice [count]: the item of each class; of equal ones the cheapest. -1: even the cheapest items
 * cost more than the budget (ERR_USE, *r has that cost), or no memory. */
int knapsack_solve(const struct knapsack_class *class, size_t count, uint64_t budget,
                   size_t *choice, struct knapsack_result *r, struct err *e);

#endif
