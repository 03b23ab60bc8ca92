/* SPDX-License-Identifier: Apache-2.0 */
/* solver_qep - QEP (NeurIPS 2025, arXiv 2504.09629): the weights are first moved to where they best
 * reproduce the full-precision outputs from the quantized model's inputs,
 * W* = W + alpha W D (H + lambda I)^-1, then any solver quantizes W*. "qep+NAME" names that solver;
 * "qep" alone is "qep+gptq". Grids are those of W*; losses are measured against W.
 *
 * A solver that uses D itself gets alpha times (1 - qep_alpha): the shift has already taken that
 * share of the drift. Solvers that shift the whole target themselves are refused. */
#include "solver.h"

#include <stdlib.h>
#include "../../common/base/mem.h"
#include "solve_factor.h"

struct state {
    struct factor *f; /* of the shift, columns as they come */
    const struct solver *inner;
    struct solve_opts o; /* of the inner solver */
    void *inner_state;
};

static void release(void *state)
{
    struct state *s = state;

    if (!s)
        return;
    factor_close(&s->f);
    if (s->inner)
        s->inner->release(s->inner_state);
    free(s);
}

static int prepare(const struct solve_opts *o, size_t K, const double *H, const double *D,
                   struct par *p, void **state, struct solve_stats *st, struct err *e)
{
    struct state *s = mem_array(1, sizeof *s, e);
    struct solve_opts plain = *o;
    struct solve_stats own = {.fallback = NULL};

    *state = s;
    if (!s)
        return -1;
    s->o = *o;
    s->o.solver = solver_inner(o->solver);
    s->o.alpha = o->alpha * (1.0 - o->qep_alpha);
    s->inner = solver_find(s->o.solver);
    if (!s->inner)
        return err_set(e, ERR_USE, "there is no solver '%s'", s->o.solver);
    plain.order = ORDER_NONE;
    s->f = factor_open(&plain, K, H, p, &own, e);
    if (!s->f || s->inner->prepare(&s->o, K, H, D, p, &s->inner_state, st, e))
        return -1;
    if (st->attempts == 0) /* a solver without factorisation tells of ours */
        *st = own;
    return 0;
}

static int solve(const struct solve_opts *o, void *state, struct solve_job *j, struct par *p,
                 struct err *e)
{
    struct state *s = state;
    const enum dtype type = j->w_type;
    const void *W = j->W;
    double *shifted = mem_raw(j->N * j->K, sizeof *shifted, e);
    int rc = -1;

    if (shifted && factor_shift(s->f, j, o->qep_alpha, 1, shifted, p, e) == 0) {
        j->W = shifted;
        j->w_type = DT_F64;
        rc = s->inner->solve(&s->o, s->inner_state, j, p, e);
    }
    j->W = W;
    j->w_type = type;
    j->told = 0;
    free(shifted);
    return rc;
}

#define AT(field) offsetof(struct solve_opts, field)
static const struct opt rows[] = {
    {"qep-alpha", OPT_REAL, AT(qep_alpha), "X", .help = "share of the target shift", .def = "0.5",
     .min = 0, .max = 1},
    {.name = NULL},
};

extern const struct solver solver_qep;
const struct solver solver_qep = {
    .name = "qep",
    .about = "QEP (arXiv 2504.09629): a shift of the target before another solver, as in qep+gptaq",
    .rows = rows,
    .takes = "damp,dead",
    .needs = SOLVER_NEEDS_H | SOLVER_NEEDS_D | SOLVER_SHIFTS,
    .squares = 1,
    .copies = 1,
    .prepare = prepare,
    .solve = solve,
    .release = release,
};
