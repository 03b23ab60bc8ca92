/* SPDX-License-Identifier: Apache-2.0 */
/* solver_rescomp - ResComp (ICLR 2026, arXiv 2604.07955): GPTAQ whose target stays the output of
 * the original weights at every column, not of the weights as compensated so far: one more term,
 * (w0 - p) alpha2 striu((H + D) U') U with H undamped. */
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
    f->sweep.keep = f->keep = f->P ? factor_term(f, D, H, o->alpha2, p, e) : NULL;
    return f->keep ? 0 : -1;
}

#define AT(field) offsetof(struct solve_opts, field)
static const struct opt rows[] = {
    {"alpha2", OPT_REAL, AT(alpha2), "X", .help = "hold on the original weights", .def = "0.25",
     .min = 0, .max = 4},
    {.name = NULL},
};

extern const struct solver solver_rescomp;
const struct solver solver_rescomp = {
    .name = "rescomp",
    .about = "ResComp (arXiv 2604.07955): GPTAQ that holds on to the original weights' outputs",
    .rows = rows,
    .takes = SOLVER_SWEEP_OPTIONS ",alpha,p-source",
    .needs = SOLVER_NEEDS_H | SOLVER_NEEDS_D | SOLVER_SHIFTS,
    .squares = 3,
    .back = 1,
    .prepare = prepare,
    .solve = factor_solve,
    .release = factor_release,
};
