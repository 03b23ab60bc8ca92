/* SPDX-License-Identifier: Apache-2.0 */
/* solver_gptq - GPTQ (Frantar et al., arXiv 2210.17323): columns are rounded one after the other,
 * each error is made good by the later columns along the inverse Hessian.
 *
 * Differs from the reference code on purpose: fp64; group grids never stale; dead columns keep
 * their weights unless asked; more damping, a floor and at last plain rounding where the
 * factorisation fails, instead of a crash. */
#include "solver.h"

#include "solve_factor.h"

/* Groups that are fitted on the way look at columns whose turn has not come. */
static int prepare(const struct solve_opts *o, size_t K, const double *H, const double *D,
                   struct par *p, void **state, struct solve_stats *st, struct err *e)
{
    if (o->groups == GROUPS_DYNAMIC)
        return factor_prepare(o, K, H, D, p, state, st, e);
    *state = factor_open_direct(o, K, H, p, st, e);
    return *state ? 0 : -1;
}

extern const struct solver solver_gptq;
const struct solver solver_gptq = {
    .name = "gptq",
    .about = "GPTQ (arXiv 2210.17323): rounding errors are made good by later columns",
    .takes = SOLVER_SWEEP_OPTIONS,
    .needs = SOLVER_NEEDS_H,
    .squares = 1,
    .back = 1,
    .half = 1,
    .prepare = prepare,
    .solve = factor_solve,
    .release = factor_release,
};
