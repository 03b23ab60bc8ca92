/* SPDX-License-Identifier: Apache-2.0 */
/* solver_gptaq - GPTAQ (Li et al., ICML 2025, arXiv 2504.02692): GPTQ against the outputs of the
 * full-precision model: each column also hands its share of the drift of the inputs, D, to the
 * later ones.
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

static const struct opt_choice sources[] = {
    {"auto", P_AUTO}, {"pre", P_PRE}, {"pre_clamp", P_PRE_CLAMP}, {"q", P_Q}, {NULL, 0}};

#define AT(field) offsetof(struct solve_opts, field)
static const struct opt rows[] = {
    {"alpha", OPT_REAL, AT(alpha), "X",
     .help = "gptaq, rescomp, foem: share of the drift that is made good", .def = "0.25", .min = 0,
     .max = 4},
    {"p-source", OPT_CHOICE, AT(p_source), "NAME",
     .help = "gptaq, rescomp, foem: what a column hands on: its value before rounding,\n"
             "that kept in the grid's range, or the rounded one; auto: q for 2 bits, pre_clamp "
             "above",
     .def = "auto", .choices = sources},
    {.name = NULL},
};

extern const struct solver solver_gptaq;
const struct solver solver_gptaq = {
    .name = "gptaq",
    .about = "GPTAQ (arXiv 2504.02692): GPTQ against the outputs of the full-precision model",
    .rows = rows,
    .takes = SOLVER_SWEEP_OPTIONS,
    .needs = SOLVER_NEEDS_H | SOLVER_NEEDS_D,
    .squares = 2,
    .prepare = prepare,
    .solve = factor_solve,
    .release = factor_release,
};
