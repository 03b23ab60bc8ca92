/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_random - the best of so many choices drawn at random within the target: what the paper
 * of the scaling law (arXiv 2410.06722) does, kept to measure the exact choice against.
 *
 * A draw: each unit any of its items; while that is too much, a random unit takes its next cheaper
 * item; then random units take the next dearer one as long as there is room. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "../../../common/base/rng.h"
#include "allocate_impl.h"

#define MISSES_MAX 4 /* for each unit, units for which there was no room */

/* The item of a unit that is next in cost, up or down; that of the least loss among equals.
 * SIZE_MAX: there is none. */
static size_t next_item(const struct unit *u, size_t at, int up)
{
    const uint64_t from = u->item[at].cost;
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < u->items; i++) {
        const struct knapsack_item *x = &u->item[i], *y = best == SIZE_MAX ? NULL : &u->item[best];

        if (up ? x->cost <= from : x->cost >= from)
            continue;
        if (!y || (up ? x->cost < y->cost : x->cost > y->cost) ||
            (x->cost == y->cost && x->loss < y->loss))
            best = i;
    }
    return best;
}

static uint64_t cost_of(const struct allocate *a, const size_t *choice)
{
    uint64_t cost = 0;

    for (size_t i = 0; i < a->units; i++)
        cost += a->unit[i].item[choice[i]].cost;
    return cost;
}

/* One choice; the cheapest one is known to be within the target. */
static uint64_t draw(const struct allocate *a, struct rng *rng, size_t *choice)
{
    uint64_t cost;

    for (size_t i = 0; i < a->units; i++)
        choice[i] = rng_below(rng, a->unit[i].items);
    cost = cost_of(a, choice);
    while (cost > a->budget) {
        const size_t i = rng_below(rng, a->units), next = next_item(&a->unit[i], choice[i], 0);

        if (next == SIZE_MAX)
            continue;
        cost -= a->unit[i].item[choice[i]].cost - a->unit[i].item[next].cost;
        choice[i] = next;
    }
    for (size_t misses = 0; misses < MISSES_MAX * a->units;) {
        const size_t i = rng_below(rng, a->units), next = next_item(&a->unit[i], choice[i], 1);
        const uint64_t more =
            next == SIZE_MAX ? 0 : a->unit[i].item[next].cost - a->unit[i].item[choice[i]].cost;

        if (next == SIZE_MAX || more > a->budget - cost) {
            misses++;
            continue;
        }
        cost += more;
        choice[i] = next;
    }
    return cost;
}

static double loss_of(const struct allocate *a, const size_t *choice)
{
    double loss = 0.0;

    for (size_t i = 0; i < a->units; i++)
        loss += a->unit[i].item[choice[i]].loss;
    return loss;
}

int allocate_random(struct allocate *a, struct err *e)
{
    size_t *choice = mem_array(a->units, sizeof *choice, e);
    struct rng rng;

    if (!choice)
        return -1;
    rng_seed(&rng, a->o.seed, 0);
    for (int64_t n = 0; n < a->o.trials; n++) {
        const uint64_t cost = draw(a, &rng, choice);
        const double loss = loss_of(a, choice);

        if (n > 0 && !(loss < a->result.loss))
            continue;
        memcpy(a->choice, choice, a->units * sizeof *choice);
        a->result.cost = cost;
        a->result.loss = loss;
    }
    free(choice);
    return 0;
}
