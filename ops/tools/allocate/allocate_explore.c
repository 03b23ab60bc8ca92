/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_explore - the best choice by what measured ones teach, or one that is to be measured
 * next: none of them, and the best if a draw from what they leave open is right. */
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "allocate_impl.h"

#define DRAWS_MAX 1000

static int same_way(const struct candidate *x, const struct candidate *y)
{
    return x->kept == y->kept &&
           (x->kept || (x->bits == y->bits && x->group == y->group && x->grid == y->grid));
}

/* Is it one of those that were measured? */
static int is_known(const struct allocate *a)
{
    for (size_t r = a->offered; r < a->runs; r++) {
        size_t i = 0;

        while (i < a->units && same_way(&a->unit[i].candidate[a->unit[i].of[a->choice[i]]],
                                        &a->unit[i].candidate[r]))
            i++;
        if (i == a->units)
            return 1;
    }
    return 0;
}

int allocate_explore(struct allocate *a, struct knapsack_class *class, struct err *e)
{
    const int draws = a->o.search == ALLOCATE_EXPLORE ? DRAWS_MAX : 0;
    double *weight = mem_array(a->units, sizeof *weight, e);
    struct rng rng;
    int rc = weight ? 0 : -1;

    rng_seed(&rng, a->o.seed, 0);
    for (int n = 0; rc == 0; n++) {
        if ((rc = allocate_learn(a, draws ? &rng : NULL, weight, e)) < 0)
            break;
        for (size_t i = 0; i < a->units; i++)
            a->unit[i].weight = weight[i];
        rc = allocate_solve(a, class, e);
        if (n + 1 >= draws || (rc == 0 && !is_known(a)))
            break;
        for (size_t i = 0; i < a->units; i++)
            a->unit[i].weight = 1.0;
    }
    a->learned = rc == 0;
    free(weight);
    return rc;
}
