/* SPDX-License-Identifier: Apache-2.0 */
/* solver_qronos - Qronos (ICLR 2026, arXiv 2505.11695): the first column is rounded to the best
 * value while all others keep their full-precision weights; given it the others are solved again
 * by least squares against the full-precision outputs; from there on GPTQ.
 *
 * With S = W + W D H^-1 (the full target shift) the second step is S moved by GPTQ's own formula
 * for the error of the first column, so here: start from S, replace column 0 by x0 = w0 + (W
 * D)_0 / H_00, move the others by (S_0 - x0), and sweep. Damping is relative to the mean
 * diagonal, as everywhere here; the published code takes 1e-6 of the largest eigenvalue. --dead
 * zero does what that code does: a dead first column becomes 0, other dead ones are rounded to
 * nearest. */
#include "solver.h"

#include <stdlib.h>
#include "../../common/base/mem.h"
#include "solve_factor.h"

/* Column 0 of the order set to its own optimum, the rest moved by what that changes. */
static int set_first(const struct factor *f, const struct solve_job *j, double *start,
                     struct err *e)
{
    const size_t K = j->K, c = f->order[0], size = dtype_size(j->w_type);
    const double h = j->H[c * K + c];
    double *w = mem_array(K, sizeof *w, e);

    for (size_t n = 0; w && n < j->N; n++) {
        double *x = start + n * K, drift = 0.0, gap;

        dtype_to_f64(j->w_type, (const char *)j->W + n * K * size, K, w);
        for (size_t k = 0; k < K; k++)
            drift += w[k] * j->D[k * K + c];
        gap = h > 0.0 ? x[c] - (w[c] + drift / h) : f->sweep.clear ? x[c] : 0.0;
        x[c] -= gap;
        for (size_t i = 1; i < K; i++)
            x[f->order[i]] -= gap / f->U[0] * f->U[i];
    }
    if (!w)
        return -1;
    free(w);
    return 0;
}

static int solve(const struct solve_opts *o, void *state, struct solve_job *j, struct par *p,
                 struct err *e)
{
    const struct factor *f = state;
    struct sweep sweep = f->sweep;
    double *start;
    int rc = -1;

    if (!f->sweep.U)
        return sweep_run(o, &f->sweep, j, p, e);
    start = mem_raw(j->N * j->K, sizeof *start, e);
    if (start && factor_shift(f, j, 1.0, 0, start, p, e) == 0 && set_first(f, j, start, e) == 0) {
        sweep.start = start;
        rc = sweep_run(o, &sweep, j, p, e);
    }
    free(start);
    return rc;
}

extern const struct solver solver_qronos;
const struct solver solver_qronos = {
    .name = "qronos",
    .about =
        "Qronos (arXiv 2505.11695): full shift of the target, an exact first column, then GPTQ",
    .takes = SOLVER_SWEEP_OPTIONS,
    .needs = SOLVER_NEEDS_H | SOLVER_NEEDS_D | SOLVER_SHIFTS,
    .squares = 1,
    .copies = 1,
    .prepare = factor_prepare,
    .solve = solve,
    .release = factor_release,
};
