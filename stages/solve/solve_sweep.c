/* solve_sweep - see solve_sweep.h. GPTQ (arXiv 2210.17323), step by step as in
 * notes/maca-gptq-gptaq.md 2.1.
 *
 * Leaves out: the reference's stale group grids (a group fitted inside a block always sees current
 * values). */
#include "solve_sweep.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/tensor/blas.h"
#include "solve_grid.h"
#include "solve_tile.h"

#define R SOLVE_TILE

struct run {
    const struct solve_opts *o;
    const struct sweep *s;
    struct solve_job *j;
    size_t K, G, group, block;
    int dynamic;
    struct scratch *scratch; /* one per worker */
};

struct scratch {
    double *w;            /* [K][R] weights as they came, column k of the matrix at k */
    double *x;            /* [K][R] the same in processing order, moved by the errors so far */
    double *err;          /* [block][R] */
    double *fit;          /* [group][R] current values of a dynamic group */
    double *row;          /* [K] */
    double *scale, *zero; /* [G][R] */
    uint8_t *codes;       /* [K][R], by column */
    size_t *place;        /* [K] step at which a column is taken */
    uint8_t *fitted;      /* [G] */
};

static void scratch_release(struct scratch *t)
{
    free(t->w);
    free(t->x);
    free(t->err);
    free(t->fit);
    free(t->row);
    free(t->scale);
    free(t->zero);
    free(t->codes);
    free(t->place);
    free(t->fitted);
}

static int scratch_init(const struct run *run, struct scratch *t, struct err *e)
{
    const size_t K = run->K, G = run->G, col = R * sizeof(double);

    if (!(t->w = mem_raw(K, col, e)) || !(t->row = mem_raw(K, sizeof(double), e)) ||
        !(t->scale = mem_raw(G, col, e)) || !(t->zero = mem_raw(G, col, e)) ||
        !(t->codes = mem_raw(K, R, e)))
        return -1;
    if (!run->s->U)
        return 0;
    if (!(t->x = mem_raw(K, col, e)) || !(t->err = mem_raw(run->block, col, e)) ||
        !(t->fitted = mem_array(G, 1, e)) || !(t->place = mem_array(K, sizeof *t->place, e)))
        return -1;
    if (run->dynamic && !(t->fit = mem_raw(run->group, col, e)))
        return -1;
    for (size_t i = 0; i < K; i++)
        t->place[run->s->order ? run->s->order[i] : i] = i;
    return 0;
}

/* Grids of all groups from the weights as they came. */
static int fit_static(const struct run *run, struct scratch *t, size_t first, struct err *e)
{
    for (size_t g = 0; g < run->G; g++) {
        const size_t start = g * run->group,
                     n = run->K - start < run->group ? run->K - start : run->group;
        if (solve_grid_fit(run->o, run->j, first, t->w + start * R, n, t->scale + g * R,
                           t->zero + g * R, e))
            return -1;
    }
    return 0;
}

/* Grid of one group from the values its columns have at step i of the block that starts at b0:
 * those of this block are up to date, later ones still lack the block's errors. */
static int fit_dynamic(const struct run *run, struct scratch *t, size_t first, size_t g, size_t b0,
                       size_t b1, size_t i, struct err *e)
{
    const size_t start = g * run->group;

    for (size_t k = 0; k < run->group; k++) {
        const size_t at = t->place[start + k];
        double *out = t->fit + k * R;

        memcpy(out, t->x + at * R, R * sizeof *out);
        for (size_t b = b0; at >= b1 && b < i; b++)
            tile_spread(out, 1, t->err + (b - b0) * R, run->s->U + b * run->K + at);
    }
    t->fitted[g] = 1;
    return solve_grid_fit(run->o, run->j, first, t->fit, run->group, t->scale + g * R,
                          t->zero + g * R, e);
}

static int sweep_block(const struct run *run, struct scratch *t, size_t first, size_t b0, size_t b1,
                       struct err *e)
{
    const double top = solve_grid_top(run->o);
    const size_t K = run->K;
    double q[R];

    for (size_t i = b0; i < b1; i++) {
        const double *u = run->s->U + i * K, *w = t->x + i * R;
        const size_t column = run->s->order ? run->s->order[i] : i, g = column / run->group;
        double *err = t->err + (i - b0) * R;

        if (run->dynamic && !t->fitted[g] && fit_dynamic(run, t, first, g, b0, b1, i, e))
            return -1;
        tile_round(w, t->scale + g * R, t->zero + g * R, top, q, t->codes + column * R);
        for (size_t r = 0; r < R; r++)
            err[r] = (w[r] - q[r]) / u[i];
        tile_spread(t->x + (i + 1) * R, b1 - i - 1, err, u + i + 1);
    }
    if (b1 == K)
        return 0;
    return blas_dgemm(NULL, 1, 0, K - b1, R, b1 - b0, -1.0, run->s->U + b0 * K + b1, K, t->err, R,
                      1.0, t->x + b1 * R, R, e);
}

static int sweep_feedback(const struct run *run, struct scratch *t, size_t first, struct err *e)
{
    const size_t K = run->K;

    for (size_t i = 0; i < K; i++)
        memcpy(t->x + i * R, t->w + (run->s->order ? run->s->order[i] : i) * R, R * sizeof *t->x);
    memset(t->fitted, 0, run->G);
    for (size_t b0 = 0, b1; b0 < K; b0 = b1) {
        b1 = K - b0 > run->block ? b0 + run->block : K;
        if (sweep_block(run, t, first, b0, b1, e))
            return -1;
    }
    return 0;
}

static void round_plain(const struct run *run, struct scratch *t)
{
    const double top = solve_grid_top(run->o);
    double q[R];

    for (size_t k = 0; k < run->K; k++) {
        const size_t g = k / run->group;
        tile_round(t->w + k * R, t->scale + g * R, t->zero + g * R, top, q, t->codes + k * R);
    }
}

static void clear_columns(const struct run *run, struct scratch *t)
{
    for (size_t k = 0; run->s->clear && k < run->K; k++)
        if (run->s->clear[k])
            memset(t->w + k * R, 0, R * sizeof *t->w);
}

static void store(const struct run *run, const struct scratch *t, size_t first)
{
    const size_t rows = run->j->N - first < R ? run->j->N - first : R;

    for (size_t r = 0; r < rows; r++) {
        uint8_t *codes = run->j->codes + (first + r) * run->K;
        for (size_t k = 0; k < run->K; k++)
            codes[k] = t->codes[k * R + r];
        for (size_t g = 0; g < run->G; g++) {
            run->j->scales[(first + r) * run->G + g] = t->scale[g * R + r];
            run->j->zeros[(first + r) * run->G + g] = (uint8_t)t->zero[g * R + r];
        }
    }
}

static int sweep_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    struct run *run = ctx;
    struct scratch *t = &run->scratch[worker];
    struct solve_job *j = run->j;
    const size_t first = i * R;

    if (!t->w && scratch_init(run, t, e))
        return -1;
    if (tile_load(j->w_type, j->W, j->N, j->K, first, t->row, t->w))
        return err_set(e, ERR_USE, "%s: weights are %s, not a float type", j->name,
                       dtype_name(j->w_type));
    if (run->o->group > 0)
        clear_columns(run, t);
    if (!run->dynamic && fit_static(run, t, first, e))
        return -1;
    if (run->o->group < 0)
        clear_columns(run, t);
    if (!run->s->U)
        round_plain(run, t);
    else if (sweep_feedback(run, t, first, e))
        return -1;
    store(run, t, first);
    return 0;
}

int sweep_run(const struct solve_opts *o, const struct sweep *s, struct solve_job *j, struct par *p,
              struct err *e)
{
    struct run run = {
        .o = o, .s = s, .j = j, .K = j->K, .block = o->block < j->K ? o->block : j->K};
    int rc;

    run.group = o->group > 0 ? (size_t)o->group : j->K;
    run.G = j->K / run.group;
    run.dynamic = s->U && o->groups == GROUPS_DYNAMIC && run.group < j->K;
    run.scratch = mem_array(par_threads(p), sizeof *run.scratch, e);
    if (!run.scratch)
        return -1;
    rc = par_for(p, tile_count(j->N), sweep_tile, &run, e);
    for (size_t i = 0; i < par_threads(p); i++)
        scratch_release(&run.scratch[i]);
    free(run.scratch);
    return rc;
}
