/* SPDX-License-Identifier: Apache-2.0 */
/* mixed_parts - inside of a run that chooses its bits, for the mixed*.c files alone. */
#ifndef PTQ_MIXED_PARTS_H
#define PTQ_MIXED_PARTS_H

#include "../stages/solve/solve_opts.h"
#include "mixed_types.h"
#include "route.h"
#include "steps.h"

#define WIDTHS_MAX 8
#define MIXED_STATES "states.safetensors" /* of the model on the text */

struct mixed {
    const struct mixed_opts *o;
    const struct route *t;
    size_t stage; /* of the solver, in the recipe */
    const struct solve_command *solve;
    size_t count;
    int bits[WIDTHS_MAX]; /* to choose among, ascending */
    int first;            /* of the pass */
    double weights;       /* of the linears of all sites */
    double bpw;           /* bits a weight that the target leaves; 0: it is no size */
    char *dir, *problems, *choice, *tries;
    struct steps steps;
};

/* As stored in all formats together: a code, and its share of scale and zero point. */
double mixed_bits(const struct mixed *x, int bits);
char *mixed_folder(const struct mixed *x, int bits, struct err *e);

/* mixed_words.c: command lines. The recipe at one width, into out: */
int mixed_words_run(const struct mixed *x, struct words *w, int bits, const char *out,
                    struct err *e);
/* the same as the pass whose problems are recorded, */
int mixed_words_pass(const struct mixed *x, struct words *w, const char *out, struct err *e);
/* these problems at a width, */
int mixed_words_resolve(const struct mixed *x, struct words *w, int bits, const char *out,
                        struct err *e);
/* and the divergence of out on the text, which it keeps. */
int mixed_words_judge(const struct mixed *x, struct words *w, const char *out, struct err *e);

/* mixed_choose.c: the choice into x->choice; with a text the best of several that are measured */
int mixed_choose(struct mixed *x, struct err *e);

#endif
