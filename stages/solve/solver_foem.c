/* SPDX-License-Identifier: Apache-2.0 */
/* solver_foem - FOEM (AAAI 2026, arXiv 2507.11017): the first-order term that GPTQ drops: a column
 * that compensation has moved from its original weight carries a gradient, so the error becomes
 * (w - q) - beta (w - w0) and the column itself is pulled back by beta. With D in the problem and
 * alpha above 0 also GPTAQ's term.
 *
 * The published code does not pull the first column of a block of 128: --pull 128, here for any
 * --block; --pull 0 is the method without that gap. */
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
    f->sweep.beta = o->beta;
    f->sweep.pull = (size_t)o->pull;
    f->sweep.source = factor_source(o);
    if (!D || !(o->alpha > 0.0))
        return 0;
    f->sweep.P = f->P = factor_term(f, D, NULL, o->alpha, p, e);
    return f->P ? 0 : -1;
}

#define AT(field) offsetof(struct solve_opts, field)
static const struct opt rows[] = {
    {"beta", OPT_REAL, AT(beta), "X", .help = "weight of the first-order term", .def = "0.2",
     .min = 0, .max = 1},
    {"pull", OPT_INT, AT(pull), "N",
     .help = "the first of N columns is not pulled back (0: all are)", .def = "128", .min = 0,
     .max = 1 << 24},
    {.name = NULL},
};

extern const struct solver solver_foem;
const struct solver solver_foem = {
    .name = "foem",
    .about = "FOEM (arXiv 2507.11017): GPTQ with a first-order term; with D also GPTAQ's term",
    .rows = rows,
    .takes = SOLVER_SWEEP_OPTIONS ",alpha,p-source",
    .needs = SOLVER_NEEDS_H,
    .squares = 1,
    .squares_with_d = 1,
    .back = 1,
    .prepare = prepare,
    .solve = factor_solve,
    .release = factor_release,
};
