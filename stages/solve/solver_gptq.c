/* SPDX-License-Identifier: Apache-2.0 */
/* solver_gptq - GPTQ (Frantar et al., arXiv 2210.17323): columns are rounded one after the other,
 * each error is made good by the later columns along the inverse Hessian.
 *
 * Differs from the reference code on purpose: fp64; group grids never stale; dead columns keep
 * their weights unless asked; more damping, a floor and at last plain rounding where the
 * factorisation fails, instead of a crash. */
#include "solver.h"

#include "solve_factor.h"

extern const struct solver solver_gptq;
const struct solver solver_gptq = {
    .name = "gptq",
    .about = "GPTQ (arXiv 2210.17323): rounding errors are made good by later columns",
    .takes = SOLVER_SWEEP_OPTIONS,
    .needs = SOLVER_NEEDS_H,
    .squares = 1,
    .half = 1,
    .prepare = factor_prepare,
    .solve = factor_solve,
    .release = factor_release,
};
