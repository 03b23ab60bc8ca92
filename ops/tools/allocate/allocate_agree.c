/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_agree - a choice that two scores call no worse than the same run throughout.
 *
 * The relative loss compares widths well and groups badly, the round-off the reverse
 * (ops/studies/allocate.md): what one of them finds better than one run throughout and the other
 * worse has mostly been worse. So the best choice by the relative loss is taken where the round-off
 * agrees, else the best by the round-off where the relative loss agrees, else the run itself. */
#include <math.h>

#include "allocate_impl.h"

#define ROUNDS 1e-9 /* two sums of the same losses may differ by so much */

/* Sum of what is not minimised. */
static double other_of_choice(const struct allocate *a)
{
    double sum = 0.0;

    for (size_t i = 0; i < a->units; i++)
        sum += a->unit[i].weight * a->unit[i].candidate[a->unit[i].of[a->choice[i]]].other;
    return sum;
}

static double other_of_run(const struct allocate *a, size_t r)
{
    double sum = 0.0;

    for (size_t i = 0; i < a->units; i++)
        sum += a->unit[i].weight * a->unit[i].candidate[r].other;
    return sum;
}

/* Journals of earlier versions have no round-off (NAN): then nothing disagrees. */
static int agrees(const struct allocate *a, size_t run)
{
    return !(other_of_choice(a) > other_of_run(a, run) * (1 + ROUNDS));
}

/* What was minimised is what is asked, and the reverse. */
static void exchange(struct allocate *a)
{
    for (size_t i = 0; i < a->units; i++)
        for (size_t r = 0; r < a->runs; r++) {
            struct candidate *c = &a->unit[i].candidate[r];
            const double loss = c->loss;

            c->loss = c->other;
            c->other = loss;
        }
}

static void follow(struct allocate *a, size_t run)
{
    for (size_t i = 0; i < a->units; i++) {
        const struct unit *u = &a->unit[i];

        a->choice[i] = 0;
        while (u->of[a->choice[i]] != run)
            a->choice[i]++;
    }
    a->result.cost = allocate_run_cost(a, run);
    a->result.loss = allocate_run_loss(a, run);
}

int allocate_agree(struct allocate *a, struct knapsack_class *class, struct err *e)
{
    const size_t run = allocate_best_run(a);

    a->by = ALLOCATE_RELATIVE;
    if (run == SIZE_MAX || agrees(a, run))
        return 0;
    a->against = run;
    exchange(a);
    a->by = ALLOCATE_ROUND_OFF;
    if (allocate_solve(a, class, e) < 0)
        return -1;
    if (agrees(a, run))
        return 0;
    exchange(a);
    a->by = ALLOCATE_RELATIVE;
    if (allocate_solve(a, class, e) < 0)
        return -1;
    follow(a, run);
    return 0;
}
