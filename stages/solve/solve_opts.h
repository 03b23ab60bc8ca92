/* SPDX-License-Identifier: Apache-2.0 */
/* solve_opts - the options of ptq-solve and what they mean: which solvers they name, which of them
 * look at which, and the record of them that a solution carries. */
#ifndef PTQ_SOLVE_OPTS_H
#define PTQ_SOLVE_OPTS_H

#include "../../common/base/stage.h"
#include "../../common/run/override.h"
#include "solver.h"

#define CONTENDERS 16
#define CONTENDER_NAME 32

struct solve_command {
    struct solve_opts core; /* complete once the spec's check has passed */
    struct overrides lines; /* what core.overrides points to */
    struct opt_texts override, only;
    const char *overrides, *mix;
    int64_t peers;
    int grid, scales_hessian, list; /* grid: of grid_at() */
};

extern const struct stage_spec solve_spec;

/* Refuses what no problem could be solved with: an unknown solver, a group of 0, block 0, ...
 * and an option that is not at its default although no solver named looks at it; an override
 * that could not be solved with. */
int solve_check_opts(const struct solve_opts *o, struct err *e);

/* The solvers that "best:a,b,c" names; otherwise the one. */
struct contenders {
    size_t count;
    int contest; /* best: was said */
    char name[CONTENDERS][CONTENDER_NAME];
};

/* Refuses unknown solvers, "a+b" where a shifts no target or b does so itself, and doubles. */
int contenders_parse(const char *solver, struct contenders *c, struct err *e);
/* What the solver "a+b" needs (SOLVER_NEEDS_*), and whether it looks at an option. */
unsigned contender_needs(const char *name);
int contender_takes(const char *name, const char *option);

/* The value of --mix: "tokens" (as counted), "auto" (as each problem says), or
 * "text=1,image=0.3". */
int solve_mix_parse(const char *text, struct solve_opts *o, struct err *e);
/* {"text": 1, "image": 0.3}; NULL: out of memory. */
struct json *solve_mix_record(const double ratio[MODALITIES]);

/* The options for one linear: o with what its overrides say. 1: they say that it is kept as it
 * is, 0, or -1. */
int solve_opts_for(const struct solve_opts *o, size_t block, const char *site, const char *linear,
                   struct solve_opts *out, struct err *e);
/* 1 when the two, made by solve_opts_for of the same options, are the same. */
int solve_opts_same(const struct solve_opts *a, const struct solve_opts *b);

/* The options that matter to this solver, for "prov". has_d: the problem had D. from: "best:..."
 * when the solver won a contest, else NULL. NULL: out of memory. */
struct json *solve_record(const struct solve_opts *o, int has_d, const char *from);

#endif
