/* SPDX-License-Identifier: Apache-2.0 */
/* solve_factor - see solve_factor.h. Products go panel by panel of fixed size, so that the
 * number of threads never shows. */
#include "solve_factor.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/tensor/blas.h"
#include "solve_damp.h"
#include "solve_order.h"
#include "solve_tile.h"

#define PANEL 128

void factor_close(struct factor **f)
{
    if (!f || !*f)
        return;
    free((*f)->U);
    free((*f)->order);
    free((*f)->dead);
    free((*f)->P);
    free((*f)->keep);
    free((*f)->added);
    free(*f);
    *f = NULL;
}

static struct factor *make(const struct solve_opts *o, size_t K, const double *H, int direct,
                           struct par *p, struct solve_stats *st, struct err *e)
{
    struct factor *f = mem_array(1, sizeof *f, e);
    double *diag = mem_array(K, sizeof *diag, e);
    size_t cells;
    int rc = -1;

    if (!f || !diag)
        goto out;
    if (mem_mul(K, K, &cells)) {
        err_set(e, ERR_SYS, "a %zu x %zu matrix does not fit into memory", K, K);
        goto out;
    }
    f->K = K;
    f->U = mem_raw(cells, sizeof *f->U, e);
    f->order = mem_array(K, sizeof *f->order, e);
    f->dead = mem_array(K, 1, e);
    if (!f->U || !f->order || !f->dead || (direct && !(f->added = mem_raw(K, sizeof *diag, e))))
        goto out;
    st->dead = damp_dead(o, K, H, diag, f->dead);
    if (solve_order(o, K, H, diag, f->order, p, e) ||
        damp_factor(o, K, H, diag, f->order, direct, f->U, f->added, st, p, e))
        goto out;
    if (o->dead == DEAD_ZERO && st->dead)
        f->sweep.clear = f->dead;
    if (!st->fallback || *st->fallback != 'r') {
        f->sweep.U = f->U;
        f->sweep.order = f->order;
        f->sweep.direct = direct;
        f->sweep.added = f->added;
    }
    rc = 0;
out:
    free(diag);
    if (rc)
        factor_close(&f);
    return f;
}

struct factor *factor_open(const struct solve_opts *o, size_t K, const double *H, struct par *p,
                           struct solve_stats *st, struct err *e)
{
    return make(o, K, H, 0, p, st, e);
}

struct factor *factor_open_direct(const struct solve_opts *o, size_t K, const double *H,
                                  struct par *p, struct solve_stats *st, struct err *e)
{
    return make(o, K, H, 1, p, st, e);
}

int factor_prepare(const struct solve_opts *o, size_t K, const double *H, const double *D,
                   struct par *p, void **state, struct solve_stats *st, struct err *e)
{
    (void)D;
    *state = factor_open(o, K, H, p, st, e);
    return *state ? 0 : -1;
}

int factor_solve(const struct solve_opts *o, void *state, struct solve_job *j, struct par *p,
                 struct err *e)
{
    const struct factor *f = state;

    return sweep_run(o, &f->sweep, j, p, e);
}

void factor_release(void *state)
{
    struct factor *f = state;

    factor_close(&f);
}

enum p_source factor_source(const struct solve_opts *o)
{
    if (o->p_source != P_AUTO)
        return o->p_source;
    return o->bits == 2 ? P_Q : P_PRE_CLAMP;
}

/* ---- P ---- */

struct term {
    const struct factor *f;
    const double *A, *B;
    double alpha, *P, **scratch; /* scratch: per worker [2][PANEL][K] */
};

/* Rows [a, b) of P: only columns from a on are above the diagonal. */
static int term_panel(void *ctx, size_t i, size_t worker, struct err *e)
{
    struct term *t = ctx;
    const struct factor *f = t->f;
    const size_t K = f->K, a = i * PANEL, rows = K - a < PANEL ? K - a : PANEL, n = K - a;
    double *x, *y;

    if (!t->scratch[worker] &&
        !(t->scratch[worker] = mem_raw(2 * PANEL, K * sizeof **t->scratch, e)))
        return -1;
    x = t->scratch[worker];
    y = x + PANEL * K;
    for (size_t r = 0; r < rows; r++) {
        const size_t at = f->order[a + r] * K;
        for (size_t k = 0; k < n; k++) {
            const size_t cell = at + f->order[a + k];
            x[r * n + k] = t->B ? t->A[cell] + t->B[cell] : t->A[cell];
        }
    }
    if (blas_dgemm(NULL, 0, 1, rows, n, n, t->alpha, x, n, f->U + a * K + a, K, 0.0, y, n, e))
        return -1;
    for (size_t r = 0; r < rows; r++)
        memset(y + r * n, 0, (r + 1) * sizeof *y);
    memset(t->P + a * K, 0, rows * K * sizeof *t->P);
    return blas_dgemm(NULL, 0, 0, rows, n, n, 1.0, y, n, f->U + a * K + a, K, 0.0, t->P + a * K + a,
                      K, e);
}

double *factor_term(const struct factor *f, const double *A, const double *B, double alpha,
                    struct par *p, struct err *e)
{
    struct term t = {.f = f, .A = A, .B = B, .alpha = alpha};
    int rc = -1;

    t.P = mem_raw(f->K * f->K, sizeof *t.P, e);
    t.scratch = mem_array(par_threads(p), sizeof *t.scratch, e);
    if (t.P && t.scratch)
        rc = par_for(p, (f->K + PANEL - 1) / PANEL, term_panel, &t, e);
    for (size_t i = 0; t.scratch && i < par_threads(p); i++)
        free(t.scratch[i]);
    free(t.scratch);
    if (rc) {
        free(t.P);
        t.P = NULL;
    }
    return t.P;
}

/* ---- W + alpha W D H^-1 ---- */

struct shift {
    const struct factor *f;
    const struct solve_job *j;
    double alpha, *out, **scratch; /* scratch: per worker [2][SOLVE_TILE][K] */
    int clear;
};

static int shift_rows(struct shift *s, size_t first, size_t rows, double *x, double *y,
                      struct err *e)
{
    const struct factor *f = s->f;
    const size_t K = f->K;
    double *w = s->out + first * K;

    if (blas_dgemm(NULL, 0, 0, rows, K, K, s->alpha, w, K, s->j->D, K, 0.0, y, K, e))
        return -1;
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < K; k++)
            x[r * K + k] = y[r * K + f->order[k]];
    if (blas_dgemm(NULL, 0, 1, rows, K, K, 1.0, x, K, f->U, K, 0.0, y, K, e) ||
        blas_dgemm(NULL, 0, 0, rows, K, K, 1.0, y, K, f->U, K, 0.0, x, K, e))
        return -1;
    for (size_t r = 0; r < rows; r++)
        for (size_t k = 0; k < K; k++)
            w[r * K + f->order[k]] += x[r * K + k];
    return 0;
}

static int shift_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    struct shift *s = ctx;
    const struct solve_job *j = s->j;
    const size_t K = j->K, first = i * SOLVE_TILE,
                 rows = j->N - first < SOLVE_TILE ? j->N - first : SOLVE_TILE;
    double *w = s->out + first * K;

    if (!s->scratch[worker] &&
        !(s->scratch[worker] = mem_raw(2 * SOLVE_TILE, K * sizeof **s->scratch, e)))
        return -1;
    if (dtype_to_f64(j->w_type, (const char *)j->W + first * K * dtype_size(j->w_type), rows * K,
                     w))
        return err_set(e, ERR_USE, "%s: weights are %s, not a float type", j->name,
                       dtype_name(j->w_type));
    for (size_t k = 0; s->clear && s->f->sweep.clear && k < K; k++)
        for (size_t r = 0; s->f->dead[k] && r < rows; r++)
            w[r * K + k] = 0.0;
    if (!s->f->sweep.U)
        return 0;
    return shift_rows(s, first, rows, s->scratch[worker], s->scratch[worker] + SOLVE_TILE * K, e);
}

int factor_shift(const struct factor *f, const struct solve_job *j, double alpha, int clear,
                 double *out, struct par *p, struct err *e)
{
    struct shift s = {.f = f, .j = j, .alpha = alpha, .out = out, .clear = clear};
    int rc;

    s.scratch = mem_array(par_threads(p), sizeof *s.scratch, e);
    if (!s.scratch)
        return -1;
    rc = par_for(p, solve_tile_count(j->N), shift_tile, &s, e);
    for (size_t i = 0; i < par_threads(p); i++)
        free(s.scratch[i]);
    free(s.scratch);
    return rc;
}
