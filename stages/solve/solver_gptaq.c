/* SPDX-License-Identifier: Apache-2.0 */
/* solver_gptaq - GPTAQ (Li et al., ICML 2025, arXiv 2504.02692): GPTQ against the outputs of the
 * full-precision model: each column also hands its share of the drift of the inputs, D, to the
 * later ones. Notes: maca-gptq-gptaq.md 3.
 *
 * The published code hands on the value before rounding inside a block and the rounded one after
 * it; here it is one of them throughout (--p-source), so that the block size does not show.
 * alpha is an empirical shrinkage of that code, not of the paper. */
#include "solver.h"

#include "solve_factor.h"

static int prepare(const struct solve_opts *o, size_t K, const double *H, const double *D,
                   struct par *p, void **state, struct solve_stats *st, struct err *e)
{
    struct factor *f = factor_open(o, K, H, p, st, e);

    *state = f;
    if (!f)
        return -1;
    if (!f->sweep.U)
        return 0;
    f->sweep.source = factor_source(o);
    f->sweep.P = f->P = factor_term(f, D, NULL, o->alpha, p, e);
    return f->P ? 0 : -1;
}

extern const struct solver solver_gptaq;
const struct solver solver_gptaq = {
    .name = "gptaq",
    .about = "GPTAQ (arXiv 2504.02692): GPTQ against the outputs of the full-precision model",
    .options = SOLVER_GRID_OPTIONS "," SOLVER_SWEEP_OPTIONS ",alpha,p-source",
    .needs = SOLVER_NEEDS_H | SOLVER_NEEDS_D,
    .prepare = prepare,
    .solve = factor_solve,
    .release = factor_release,
};
