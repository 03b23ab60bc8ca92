/* SPDX-License-Identifier: Apache-2.0 */
/* work - the state of one problem while it is solved: private to the stage. Here
 * one solver is put to work on linears of it; solve.c says which, classes.c asks what became of
 * them. */
#ifndef PTQ_SOLVE_WORK_H
#define PTQ_SOLVE_WORK_H

#include "../../common/wire/msg_problem.h"
#include "../../common/wire/msg_solution.h"
#include "solve_expand.h"
#include "solve_note.h"
#include "solve_opts.h"

#define ANSWER_PARTS 9
#define ANSWER_GROUPS 4 /* of these: that of each input */
#define ANSWER_TABLE 5  /* and the levels of each row */
#define ANSWER_BESIDE 6 /* and three of weights beside the codes (solve_beside.h) */
/* What one solver made of the site. */
struct answer {
    struct solve_opts o;
    const struct solver *solver;
    struct solve_stats stats;
    double tensor_scale; /* one for all linears; 1 where the grid has none */
    /* of each linear codes, scales and, where the grid has them, zeros and the tensor's scale; the
     * groups of inputs where they are not those of their order (solve_permute.h) */
    struct tensor results[ANSWER_PARTS * PROBLEM_LINEARS];
    struct solution_linear linear[PROBLEM_LINEARS];
    double loss, asym_loss; /* over all linears */
    double judged;          /* what contenders are compared by */
    size_t raised;
};

/* Linears with the same options. */
struct solve_part {
    struct solve_opts o;
    struct contenders list;
    size_t count, linear[PROBLEM_LINEARS]; /* places in the problem */
    struct answer *best;
};

struct work {
    const struct solve_opts *o;
    struct problem_view v;
    struct problem_sums sums; /* those that are solved with */
    double ratio[MODALITIES]; /* of each modality in the mix */
    size_t nmix; /* 0: they are in the problem as they are; else S and D are of these */
    struct expand_part mix[PROBLEM_CLASSES];
    double equal[PROBLEM_CLASSES]; /* factors of the classes (--equalise); 0: none */
    struct msg *problem;
    double *H, *D, *hold_H, *hold_D;
    /* [K] the input that stands at each place of H, D and the weights; NULL: as they come */
    size_t *order;
    size_t nparts;           /* 0: every linear is kept as it is */
    struct solve_part *part; /* [v.nlinears] */
    int contest;             /* some part is one */
    int refitting;           /* the held-out sums are in the others now */
    struct answer *now;
    struct json *contenders;
    struct json *classes; /* NULL: the problem has none */
    struct solve_note *note;
};

/* 1: contenders are compared by the loss that D shifts. */
int work_is_asym(const struct work *w);
/* Solves the linears of a part by one solver, under w->H and w->D. */
int work_solve(struct work *w, const struct solve_part *x, struct answer *a, const char *name,
               struct par *p, struct err *e);
void answer_clear(struct answer *a);
void work_destroy(struct work *w); /* NULL: nothing */

#endif
