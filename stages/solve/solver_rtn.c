/* SPDX-License-Identifier: Apache-2.0 */
/* solver_rtn - round to nearest on a fitted grid: the reference every other solver must beat. */
#include "solver.h"

#include "solve_sweep.h"

static int prepare(const struct solve_opts *o, size_t K, const double *H, const double *D,
                   struct par *p, void **state, struct solve_stats *st, struct err *e)
{
    (void)o;
    (void)K;
    (void)H;
    (void)D;
    (void)p;
    (void)st;
    (void)e;
    *state = NULL;
    return 0;
}

static int solve(const struct solve_opts *o, void *state, struct solve_job *j, struct par *p,
                 struct err *e)
{
    const struct sweep plain = {.U = NULL};

    (void)state;
    return sweep_run(o, &plain, j, p, e);
}

static void release(void *state)
{
    (void)state;
}

extern const struct solver solver_rtn;
const struct solver solver_rtn = {
    .name = "rtn",
    .about = "round to nearest: no Hessian, the reference for the others",
    .needs = 0,
    .half = 1,
    .prepare = prepare,
    .solve = solve,
    .release = release,
};
