/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_impl - inside of struct allocate, for the allocate*.c files alone. */
#ifndef PTQ_ALLOCATE_IMPL_H
#define PTQ_ALLOCATE_IMPL_H

#include <stddef.h>
#include "../../../common/base/err.h"
#include "../../../common/base/rng.h"
#include "allocate_types.h"
#include "knapsack.h"

#define KEPT_BITS 16 /* of a weight that stays as it is */

/* How a run stores a unit, and what that costs. */
struct candidate {
    int kept;
    int64_t bits, group;
    const char *grid; /* of the list of grids */
    size_t linears;   /* seen so far, of the run */
    double loss, tokens;
    double other;  /* by the score that is to agree; else 0 */
    uint64_t cost; /* bits */
    double scales;
};

/* Sites that get the same: one, or those of all experts of a block. */
struct unit {
    uint64_t block;
    char *name; /* "attn.qkv", "expert.*.up"; owned */
    double weights;
    double weight;               /* of its losses, learned; else 1 */
    struct candidate *candidate; /* [runs], and one more: kept; owned */
    size_t *of;                  /* candidate of each item; owned */
    struct knapsack_item *item;  /* owned */
    size_t items;
};

/* ln of the loss of a run, and of its measured divergence; or the mean of so many. */
struct allocate_mark {
    double loss, kl, count;
};

struct allocate {
    struct allocate_opts o;
    char **run;                 /* [runs] names: those to choose among, then measured ones; owned */
    double *kl;                 /* [runs] measured divergence, NAN: none; NULL: not asked; owned */
    struct allocate_mark *mark; /* [marks], by loss: measured runs, with --max-kl; owned */
    size_t marks;
    size_t runs, offered; /* all, and those to choose among, which come first */
    char *model;          /* that all are of; owned */
    struct unit *unit;
    size_t units, cap;
    double weights;  /* of all linears */
    uint64_t budget; /* bits; with a share to quantize, weights that may be kept */
    double foreseen; /* divergence of the choice; NAN: not asked for */
    size_t *choice;  /* [units] item; owned */
    struct knapsack_result result;
    size_t *second; /* the same of the best choice but for that one; NULL: there is none; owned */
    struct knapsack_result runner_up;
    int several_grids, learned;
    enum allocate_score by; /* what result.loss is */
    size_t against; /* the run that what the relative loss chose was found worse than; SIZE_MAX */
};

const char *allocate_score_name(enum allocate_score score);
/* What a candidate of unit u takes of the budget. */
uint64_t allocate_price(const struct allocate *a, const struct unit *u, const struct candidate *c);
/* What it loses, by the weight of its unit. */
double allocate_loss(const struct unit *u, const struct candidate *c);
/* Bits of the whole model, and the sum of losses, as run r has it. */
uint64_t allocate_run_cost(const struct allocate *a, size_t r);
double allocate_run_loss(const struct allocate *a, size_t r);
/* The dearest run that is within the target as it is; SIZE_MAX: none. */
size_t allocate_best_run(const struct allocate *a);
/* The best choice within a->budget into a->choice; the items are those that this budget leaves. */
int allocate_solve(struct allocate *a, struct knapsack_class *class, struct err *e);
/* allocate_agree.c: a choice by the relative losses was made; keeps it, or makes another. */
int allocate_agree(struct allocate *a, struct knapsack_class *class, struct err *e);
/* allocate_figures.c: the divergence that each run keeps into a->kl; those that have one are of the
 * same text and windows. */
int allocate_figures(struct allocate *a, struct err *e);
/* allocate_learn.c: the divergence for a loss of 1 at each unit, from the measured runs: what is
 * expected, or with rng a draw from what they leave open. weight [units] */
int allocate_learn(const struct allocate *a, struct rng *rng, double *weight, struct err *e);
/* allocate_explore.c: weights learned, and the best choice by them; or by those of draws, until it
 * is none of the measured ones */
int allocate_explore(struct allocate *a, struct knapsack_class *class, struct err *e);
/* allocate_kl.c: what was measured of the runs; the least budget whose best choice is foreseen to
 * diverge by no more than a->o.target.kl, and that choice */
int allocate_kl_read(struct allocate *a, struct err *e);
int allocate_kl_solve(struct allocate *a, struct knapsack_class *class, struct err *e);
/* allocate_random.c: in place of the best choice the best of some random ones; it is known that
 * there is one within the target */
int allocate_random(struct allocate *a, struct err *e);
/* allocate_second.c: the runner-up of the choice that is made. class: what it was made of */
int allocate_second(struct allocate *a, struct knapsack_class *class, struct err *e);
/* allocate_read.c: the journal of run r into the units. */
int allocate_read(struct allocate *a, size_t r, struct err *e);
/* allocate_weights.c: the losses of each unit times its weight in the file */
int allocate_weigh(struct allocate *a, const char *path, struct err *e);

#endif
