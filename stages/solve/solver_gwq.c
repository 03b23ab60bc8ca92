/* SPDX-License-Identifier: Apache-2.0 */
/* solver_gwq - GWQ (Shao et al., arXiv 2411.00850): of each linear the hundredth of the weights
 * with the largest gradient stays as it is, beside the codes; the others are rounded to nearest on
 * grids that are fitted without them.
 *
 * The paper gives neither a threshold nor how the others are rounded: here it is a share of each
 * linear, by the root mean square of the gradient over the sequences (that of --fisher). */
#include "solver.h"

#include <stdlib.h>
#include "../../common/base/mem.h"
#include "solve_beside.h"
#include "solve_fisher.h"
#include "solve_sweep.h"

static double beside(const struct solve_opts *o)
{
    return o->gradient_share;
}

/* The weights without those that stand beside the codes: 0 is in the range of any grid. */
static double *others(const struct solve_job *j, const uint8_t *apart, struct err *e)
{
    const size_t n = j->N * j->K;
    double *w = mem_raw(n, sizeof *w, e);

    if (w && dtype_to_f64(j->w_type, j->W, n, w) < 0) {
        err_set(e, ERR_USE, "%s: weights are %s, not a float type", j->name, dtype_name(j->w_type));
        free(w);
        return NULL;
    }
    for (size_t i = 0; w && i < n; i++)
        w[i] = apart[i] ? 0.0 : w[i];
    return w;
}

static int solve(const struct solve_opts *o, void *state, struct solve_job *j, struct par *p,
                 struct err *e)
{
    const struct sweep plain = {.U = NULL};
    const enum dtype type = j->w_type;
    const size_t n = j->N * j->K;
    const void *W = j->W;
    uint8_t *apart = mem_array(n, 1, e);
    double *rest = NULL;
    float *fisher = NULL;
    int rc = -1;

    if (!apart || fisher_load(state, j, &fisher, e) < 0 ||
        beside_mark(fisher, n, beside_count(beside(o), n), apart, e) < 0 ||
        !(rest = others(j, apart, e)))
        goto out;
    j->W = rest;
    j->w_type = DT_F64;
    rc = sweep_run(o, &plain, j, p, e);
    j->W = W;
    j->w_type = type;
    if (rc == 0)
        rc = beside_take(j, apart, e);
out:
    free(rest);
    free(fisher);
    free(apart);
    return rc;
}

#define AT(field) offsetof(struct solve_opts, field)
static const struct opt rows[] = {
    {"gradient-share", OPT_REAL, AT(gradient_share), "X",
     .help = "share of the weights of a linear, those of the largest gradient (--fisher), that "
             "stand beside the\ncodes as they are",
     .def = "0.01", .min = 0, .max = 1},
    {.name = NULL},
};

extern const struct solver solver_gwq;
const struct solver solver_gwq = {
    .name = "gwq",
    .about = "GWQ (arXiv 2411.00850): weights of large gradients stay, the others as by rtn",
    .rows = rows,
    .takes = "fisher",
    .needs = SOLVER_NEEDS_FISHER,
    .copies = 2,
    .beside = beside,
    .prepare = fisher_prepare,
    .solve = solve,
    .release = fisher_release,
};
