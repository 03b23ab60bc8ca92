/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_second - the runner-up of a choice. It differs from the best one somewhere, so it is the
 * best of the choices that have something else in one place, over all places: exact as well. */
#include <stdlib.h>
#include <string.h>

#include "../../../common/base/mem.h"
#include "allocate_impl.h"

/* The items of a unit but for the chosen one, into item and of. */
static size_t others(const struct unit *u, size_t chosen, struct knapsack_item *item, size_t *of)
{
    size_t n = 0;

    for (size_t i = 0; i < u->items; i++)
        if (i != chosen) {
            of[n] = i;
            item[n++] = u->item[i];
        }
    return n;
}

struct trial {
    struct knapsack_item *item; /* [candidates] */
    size_t *of;                 /* [candidates] item of each of these */
    size_t *choice;             /* [units] */
};

/* Unit i may not have what is chosen for it. 0: no such choice is within the budget. */
static int try_without(struct allocate *a, struct knapsack_class *class, size_t i, struct trial *t,
                       struct knapsack_result *r, struct err *e)
{
    const struct knapsack_class whole = class[i];
    struct err none = {.kind = ERR_NONE};
    int rc;

    class[i] = (struct knapsack_class){others(&a->unit[i], a->choice[i], t->item, t->of), t->item};
    rc = knapsack_solve(class, a->units, a->budget, t->choice, r, &none);
    class[i] = whole;
    if (rc < 0 && none.kind == ERR_USE)
        return 0;
    if (rc < 0) {
        *e = none;
        return -1;
    }
    t->choice[i] = t->of[t->choice[i]];
    return 1;
}

int allocate_second(struct allocate *a, struct knapsack_class *class, struct err *e)
{
    struct trial t = {mem_array(a->runs + 1, sizeof *t.item, e),
                      mem_array(a->runs + 1, sizeof *t.of, e),
                      mem_array(a->units, sizeof *t.choice, e)};
    struct knapsack_result r;
    int rc = t.item && t.of && t.choice ? 0 : -1;

    for (size_t i = 0; i < a->units && rc >= 0; i++) {
        if (a->unit[i].items < 2)
            continue;
        rc = try_without(a, class, i, &t, &r, e);
        if (rc <= 0 || (a->second && !(r.loss < a->runner_up.loss)))
            continue;
        if (!a->second && !(a->second = mem_array(a->units, sizeof *a->second, e)))
            rc = -1;
        else {
            memcpy(a->second, t.choice, a->units * sizeof *t.choice);
            a->runner_up = r;
        }
    }
    free(t.item);
    free(t.of);
    free(t.choice);
    return rc < 0 ? -1 : 0;
}
