/* solver_gptq - GPTQ (Frantar et al., arXiv 2210.17323): columns are rounded one after the other,
 * each error is made good by the later columns along the inverse Hessian. Notes:
 * maca-gptq-gptaq.md 2.
 *
 * Differs from the reference code on purpose: fp64; group grids never stale; dead columns keep
 * their weights unless asked; more damping, a floor and at last plain rounding where the
 * factorisation fails, instead of a crash. */
#include "solver.h"

#include <stdlib.h>
#include "../../common/base/mem.h"
#include "solve_damp.h"
#include "solve_order.h"
#include "solve_sweep.h"

struct state {
    double *U;
    size_t *order;
    uint8_t *dead;
    struct sweep sweep;
};

static void release(void *state)
{
    struct state *s = state;

    if (!s)
        return;
    free(s->U);
    free(s->order);
    free(s->dead);
    free(s);
}

static int prepare(const struct solve_opts *o, size_t K, const double *H, const double *D,
                   struct par *p, void **state, struct solve_stats *st, struct err *e)
{
    struct state *s = mem_array(1, sizeof *s, e);
    double *diag = mem_array(K, sizeof *diag, e);
    size_t cells;
    int rc = -1;

    (void)D;
    (void)p;
    *state = NULL;
    if (!s || !diag)
        goto out;
    if (mem_mul(K, K, &cells)) {
        err_set(e, ERR_SYS, "a %zu x %zu matrix does not fit into memory", K, K);
        goto out;
    }
    s->U = mem_raw(cells, sizeof *s->U, e);
    s->order = mem_array(K, sizeof *s->order, e);
    s->dead = mem_array(K, 1, e);
    if (!s->U || !s->order || !s->dead)
        goto out;
    st->dead = damp_dead(o, K, H, diag, s->dead);
    if (solve_order(o, K, diag, s->order, e) || damp_factor(o, K, H, diag, s->order, s->U, st, e))
        goto out;
    if (o->dead == DEAD_ZERO && st->dead)
        s->sweep.clear = s->dead;
    if (!st->fallback || *st->fallback != 'r') {
        s->sweep.U = s->U;
        s->sweep.order = s->order;
    }
    *state = s;
    s = NULL;
    rc = 0;
out:
    free(diag);
    release(s);
    return rc;
}

static int solve(const struct solve_opts *o, void *state, struct solve_job *j, struct par *p,
                 struct err *e)
{
    const struct state *s = state;

    return sweep_run(o, &s->sweep, j, p, e);
}

extern const struct solver solver_gptq;
const struct solver solver_gptq = {
    .name = "gptq",
    .about = "GPTQ (arXiv 2210.17323): rounding errors are made good by later columns",
    .options = "bits,group,grid,fit,scale-type,zero-min,order,groups,damp,dead,block",
    .needs = SOLVER_NEEDS_H,
    .prepare = prepare,
    .solve = solve,
    .release = release,
};
