/* SPDX-License-Identifier: Apache-2.0 */
/* solver_ojbkq - after OJBKQ (arXiv 2602.08376): rounding as a search for the nearest lattice
 * point. Besides the plain sweep (Babai's nearest plane, which is GPTQ) some sweeps round up or
 * down at random, likelier the nearer (Klein's sampler); each row keeps the one with the
 * smallest sum ((w - q) / U_jj)^2, its loss in the damped H. Never worse than gptq in that loss.
 *
 * Leaves out the paper's interpolated target and ridge: use qep+ojbkq. */
#include "solver.h"

#include "solve_factor.h"

static int prepare(const struct solve_opts *o, size_t K, const double *H, const double *D,
                   struct par *p, void **state, struct solve_stats *st, struct err *e)
{
    struct factor *f;

    (void)D;
    *state = NULL;
    if (o->groups != GROUPS_STATIC)
        return err_set(e, ERR_USE, "solver ojbkq needs --groups static");
    *state = f = factor_open(o, K, H, p, st, e);
    if (!f)
        return -1;
    f->sweep.tries = o->tries;
    f->sweep.seed = o->seed;
    return 0;
}

#define AT(field) offsetof(struct solve_opts, field)
static const struct opt rows[] = {
    {"tries", OPT_INT, AT(tries), "N", .help = "random roundings of each row", .def = "5", .min = 1,
     .max = 10000},
    {"tries-seed", OPT_INT, AT(seed), "N", .help = "of the random roundings", .def = "1", .min = 0,
     .max = 9e15},
    {.name = NULL},
};

extern const struct solver solver_ojbkq;
const struct solver solver_ojbkq = {
    .name = "ojbkq",
    .about = "after OJBKQ (arXiv 2602.08376): random roundings, each row keeps its best",
    .rows = rows,
    .takes = SOLVER_SWEEP_OPTIONS,
    .needs = SOLVER_NEEDS_H,
    .squares = 1,
    .back = 1,
    .prepare = prepare,
    .solve = factor_solve,
    .release = factor_release,
};
