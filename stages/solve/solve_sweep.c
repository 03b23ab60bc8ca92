/* SPDX-License-Identifier: Apache-2.0 */
/* solve_sweep - see solve_sweep.h. GPTQ (arXiv 2210.17323), step by step as in
 * its algorithm 1; the terms of its relatives as in the papers that their solver_*.c name.
 *
 * Leaves out: the reference's stale group grids (a group fitted inside a block always sees current
 * values). */
#include "solve_sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/base/rng.h"
#include "../../common/format/grid_affine.h"
#include "../../common/tensor/blas.h"
#include "solve_damp.h"
#include "solve_grid.h"
#include "solve_tile.h"

#define R SOLVE_TILE

struct run {
    const struct solve_opts *o;
    const struct sweep *s;
    struct solve_job *j;
    size_t K, G, group, block;
    int dynamic, from;       /* from: w0 is needed */
    double sharp;            /* log of the rho of random roundings */
    double *bound;           /* one per tile */
    struct scratch *scratch; /* one per worker */
};

/* A random pass over a tile: every row has a stream of its own, so that tiles do not matter. */
struct draw {
    struct rng rng[R];
    double weight[R]; /* rho to the power of -1 / least (s / U_jj)^2 */
};

struct scratch {
    double *w;            /* [K][R] weights as they came, column k of the matrix at k */
    double *x;            /* [K][R] the same in processing order, moved by the errors so far */
    double *w0;           /* [K][R] x before anything moved; only where a term needs it */
    double *err;          /* [block][R] */
    double *pass, *hold;  /* [block][R] minus p, minus (w0 - p) */
    double *row_score;    /* [R] */
    uint8_t *best;        /* [K][R] codes of the best pass so far */
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
    free(t->w0);
    free(t->err);
    free(t->pass);
    free(t->hold);
    free(t->row_score);
    free(t->best);
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
    if ((run->dynamic && !(t->fit = mem_raw(run->group, col, e))) ||
        (run->s->P && !(t->pass = mem_raw(run->block, col, e))) ||
        (run->s->keep && !(t->hold = mem_raw(run->block, col, e))) ||
        (run->from && !(t->w0 = mem_raw(K, col, e))) ||
        (run->s->tries > 0 &&
         (!(t->best = mem_raw(K, R, e)) || !(t->row_score = mem_raw(2, col, e)))))
        return -1;
    for (size_t i = 0; i < K; i++)
        t->place[run->s->order ? run->s->order[i] : i] = i;
    return 0;
}

/* What step i, the slot-th of its block, does to n columns from step `at` on. */
static void spread(const struct run *run, const struct scratch *t, size_t i, size_t slot, size_t at,
                   double *x, size_t n)
{
    const size_t u = i * run->K + at;

    solve_tile_spread(x, n, t->err + slot * R, run->s->U + u);
    if (run->s->P)
        solve_tile_spread(x, n, t->pass + slot * R, run->s->P + u);
    if (run->s->keep)
        solve_tile_spread(x, n, t->hold + slot * R, run->s->keep + u);
}

/* Grids of all groups from the weights as they came. */
static int fit_static(const struct run *run, struct scratch *t, size_t first, struct err *e)
{
    for (size_t g = 0; g < run->G; g++) {
        const size_t start = g * run->group,
                     n = run->K - start < run->group ? run->K - start : run->group;
        if (solve_grid_fit(run->o, run->j, first, start, t->w + start * R, n, t->scale + g * R,
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
            spread(run, t, b, b - b0, at, out, 1);
    }
    t->fitted[g] = 1;
    return solve_grid_fit(run->o, run->j, first, start, t->fit, run->group, t->scale + g * R,
                          t->zero + g * R, e);
}

/* Up or down at random, the nearer the likelier: odds of 1 to exp((s / U_jj)^2 (1 - 2 d) weight)
 * for going up when the value lies d above the lower code (Klein's sampler on two codes). */
static void round_random(const double *w, const double *s, const double *z, int bits, double u,
                         struct draw *d, double *q, uint8_t *code)
{
    const double top = affine_top(bits);

    for (size_t r = 0; r < R; r++) {
        const double c = fmin(fmax(w[r] / s[r] + z[r], 0.0), top), low = floor(c);
        const double far = s[r] / u * (s[r] / u) * (1.0 - 2.0 * (c - low)) * d->weight[r];
        const double up = rng_unit(&d->rng[r]) * (1.0 + exp(fmin(far, 700.0))) < 1.0;
        const double k = fmin(low + up, top);

        q[r] = affine_level(s[r], k, z[r]);
        code[r] = (uint8_t)k;
    }
}

/* What a rounded column hands on besides its error. */
static void set_terms(const struct run *run, struct scratch *t, size_t i, size_t slot, size_t g,
                      const double *q)
{
    const double beta = run->s->beta, *w = t->x + i * R;
    double low[R], high[R];

    if (run->s->source == P_PRE_CLAMP && (run->s->P || run->s->keep))
        run->o->grid->ends(&(struct grid_lanes){run->o->bits, t->scale + g * R, t->zero + g * R},
                           low, high);
    for (size_t r = 0; (run->s->P || run->s->keep) && r < R; r++) {
        double p = w[r];

        if (run->s->source == P_PRE_CLAMP)
            p = fmin(fmax(p, low[r]), high[r]);
        else if (run->s->source == P_Q)
            p = beta > 0.0 ? q[r] + beta * (w[r] - t->w0[i * R + r]) : q[r];
        if (run->s->P)
            t->pass[slot * R + r] = -p;
        if (run->s->keep)
            t->hold[slot * R + r] = -(t->w0[i * R + r] - p);
    }
}

static void pull(const struct run *run, struct scratch *t, size_t i)
{
    double *x = t->x + i * R;
    const double *w0 = t->w0 + i * R;

    for (size_t r = 0; r < R; r++)
        x[r] -= run->s->beta * (x[r] - w0[r]);
}

static int after_block(const struct run *run, const struct scratch *t, const double *terms,
                       const double *matrix, size_t b0, size_t b1, struct err *e)
{
    const size_t K = run->K;

    return blas_dgemm(NULL, 1, 0, K - b1, R, b1 - b0, -1.0, matrix + b0 * K + b1, K, terms, R, 1.0,
                      t->x + b1 * R, R, e);
}

static int sweep_block(const struct run *run, struct scratch *t, struct draw *d, size_t first,
                       size_t b0, size_t b1, struct err *e)
{
    const double beta = run->s->beta;
    const size_t K = run->K;
    double q[R];

    for (size_t i = b0; i < b1; i++) {
        const double u = run->s->U[i * K + i], *w = t->x + i * R;
        const size_t column = run->s->order ? run->s->order[i] : i, g = column / run->group;
        const double *s = t->scale + g * R, *z = t->zero + g * R;
        double *err = t->err + (i - b0) * R;

        if (beta > 0.0 && (run->s->pull ? i % run->s->pull : i) != 0)
            pull(run, t, i);
        if (run->dynamic && !t->fitted[g] && fit_dynamic(run, t, first, g, b0, b1, i, e))
            return -1;
        if (d)
            round_random(w, s, z, run->o->bits, u, d, q, t->codes + column * R);
        else
            run->o->grid->nearest(&(struct grid_lanes){run->o->bits, s, z}, w, q,
                                  t->codes + column * R);
        for (size_t r = 0; r < R; r++)
            err[r] = (w[r] - q[r]) / u;
        for (size_t r = 0; beta > 0.0 && r < R; r++)
            err[r] = (w[r] - q[r] - beta * (w[r] - t->w0[i * R + r])) / u;
        for (size_t r = 0; t->row_score && r < R; r++)
            t->row_score[r] += err[r] * err[r];
        set_terms(run, t, i, i - b0, g, q);
        spread(run, t, i, i - b0, i + 1, t->x + (i + 1) * R, b1 - i - 1);
    }
    if (b1 == K)
        return 0;
    if (after_block(run, t, t->err, run->s->U, b0, b1, e) ||
        (run->s->P && after_block(run, t, t->pass, run->s->P, b0, b1, e)))
        return -1;
    return run->s->keep ? after_block(run, t, t->hold, run->s->keep, b0, b1, e) : 0;
}

/* x, in processing order, from the weights or from where the solver wants to start. */
static void set_start(const struct run *run, struct scratch *t, size_t first)
{
    const size_t K = run->K, rows = run->j->N - first < R ? run->j->N - first : R;

    for (size_t i = 0; i < K; i++) {
        const size_t column = run->s->order ? run->s->order[i] : i;

        memcpy(t->x + i * R, t->w + column * R, R * sizeof *t->x);
        for (size_t r = 0; run->s->start && r < rows; r++)
            t->x[i * R + r] = run->s->start[(first + r) * K + column];
    }
    if (t->w0)
        memcpy(t->w0, t->x, K * R * sizeof *t->x);
}

static int sweep_feedback(const struct run *run, struct scratch *t, struct draw *d, size_t first,
                          struct err *e)
{
    const size_t K = run->K;

    set_start(run, t, first);
    memset(t->fitted, 0, run->G);
    for (size_t r = 0; t->row_score && r < R; r++)
        t->row_score[r] = 0.0;
    for (size_t b0 = 0, b1; b0 < K; b0 = b1) {
        b1 = K - b0 > run->block ? b0 + run->block : K;
        if (sweep_block(run, t, d, first, b0, b1, e))
            return -1;
    }
    return 0;
}

/* Rows whose pass was their best so far keep its codes. */
static void keep_best(const struct run *run, struct scratch *t, int64_t try)
{
    double *best = t->row_score + R;

    for (size_t r = 0; r < R; r++) {
        if (try > 0 && t->row_score[r] >= best[r])
            continue;
        best[r] = t->row_score[r];
        for (size_t k = 0; k < run->K; k++)
            t->best[k * R + r] = t->codes[k * R + r];
    }
}

/* The plain pass, then random ones; grids are static here. */
static int sweep_random(const struct run *run, struct scratch *t, size_t first, struct err *e)
{
    struct draw d;

    for (size_t r = 0; r < R; r++) {
        double least = INFINITY;
        for (size_t i = 0; i < run->K; i++) {
            const size_t g = (run->s->order ? run->s->order[i] : i) / run->group;
            const double ratio = t->scale[g * R + r] / run->s->U[i * run->K + i];
            least = fmin(least, ratio * ratio);
        }
        d.weight[r] = run->sharp / least;
    }
    for (int64_t try = 0; try <= run->s->tries; try++) {
        for (size_t r = 0; r < R; r++)
            rng_seed(&d.rng[r], run->s->seed + (uint64_t)try, first + r);
        if (sweep_feedback(run, t, try > 0 ? &d : NULL, first, e))
            return -1;
        keep_best(run, t, try);
    }
    memcpy(t->codes, t->best, run->K * R);
    return 0;
}

/* The a-priori bound over the rows of the tile. */
static double tile_bound(const struct run *run, const struct scratch *t, size_t first)
{
    const size_t rows = run->j->N - first < R ? run->j->N - first : R;
    const double step = run->o->grid->step;
    double sum = 0.0;

    for (size_t i = 0; i < run->K; i++) {
        const size_t g = (run->s->order ? run->s->order[i] : i) / run->group;
        const double u = run->s->U[i * run->K + i];
        for (size_t r = 0; r < rows; r++)
            sum += t->scale[g * R + r] * t->scale[g * R + r] / (u * u);
    }
    return 0.25 * step * step * sum;
}

static void round_plain(const struct run *run, struct scratch *t)
{
    double q[R];

    for (size_t k = 0; k < run->K; k++) {
        const size_t g = k / run->group;
        const struct grid_lanes lanes = {run->o->bits, t->scale + g * R, t->zero + g * R};
        run->o->grid->nearest(&lanes, t->w + k * R, q, t->codes + k * R);
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
            if (run->j->zeros)
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
    if (solve_tile_load(j->w_type, j->W, j->N, j->K, first, t->row, t->w))
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
    else if (run->s->tries > 0 ? sweep_random(run, t, first, e)
                               : sweep_feedback(run, t, NULL, first, e))
        return -1;
    if (run->s->U)
        run->bound[i] = tile_bound(run, t, first);
    store(run, t, first);
    return 0;
}

/* Random roundings of K columns should land on one of about `tries` sums: log rho with
 * tries = (e rho)^(2 K / rho) (Liu, Ling, Stehle, arXiv 1003.0064), by fixed point iteration. */
static double sharpness(size_t K, int64_t tries)
{
    const double n = 2.0 * (double)K / log((double)(tries > 1 ? tries : 2));
    double rho = n + 1.0;

    for (int i = 0; i < 50; i++)
        rho = n * (1.0 + log(rho));
    return log(rho);
}

static int set_diag(const struct run *run, double **diag, struct err *e)
{
    struct solve_job *j = run->j;
    uint8_t *dead;

    if (run->o->fit != FIT_HESSIAN && run->o->fit != FIT_NEUQI)
        return 0;
    if (!j->H)
        return err_set(e, ERR_USE, "%s: this fit of scales needs H", j->name);
    *diag = mem_array(j->K, sizeof **diag, e);
    dead = *diag ? mem_array(j->K, 1, e) : NULL;
    if (!dead) {
        free(*diag);
        *diag = NULL;
        return -1;
    }
    damp_diag(run->o, j->K, j->H, *diag, dead);
    free(dead);
    j->diag = *diag;
    return 0;
}

int sweep_run(const struct solve_opts *o, const struct sweep *s, struct solve_job *j, struct par *p,
              struct err *e)
{
    struct run run = {
        .o = o, .s = s, .j = j, .K = j->K, .block = o->block < j->K ? o->block : j->K};
    double *diag = NULL;
    int rc = -1;

    run.group = o->group > 0 ? (size_t)o->group : j->K;
    run.G = j->K / run.group;
    run.dynamic = s->U && o->groups == GROUPS_DYNAMIC && run.group < j->K;
    run.from = s->keep || s->beta > 0.0;
    run.sharp = s->tries > 0 ? sharpness(j->K, s->tries) : 0.0;
    if (set_diag(&run, &diag, e))
        return -1;
    run.scratch = mem_array(par_threads(p), sizeof *run.scratch, e);
    run.bound = mem_array(solve_tile_count(j->N), sizeof *run.bound, e);
    if (!run.scratch || !run.bound)
        goto out;
    rc = par_for(p, solve_tile_count(j->N), sweep_tile, &run, e);
    j->bound = s->U ? 0.0 : NAN;
    for (size_t i = 0; s->U && i < solve_tile_count(j->N); i++)
        j->bound += run.bound[i];
out:
    for (size_t i = 0; run.scratch && i < par_threads(p); i++)
        scratch_release(&run.scratch[i]);
    free(run.scratch);
    free(run.bound);
    free(diag);
    j->diag = NULL;
    return rc;
}

static const struct opt_choice orders[] = {{"none", ORDER_NONE},
                                           {"act", ORDER_ACT},
                                           {"group", ORDER_GROUP},
                                           {"pivot", ORDER_PIVOT},
                                           {NULL, 0}};
static const struct opt_choice groups[] = {
    {"static", GROUPS_STATIC}, {"dynamic", GROUPS_DYNAMIC}, {NULL, 0}};
static const struct opt_choice deads[] = {{"keep", DEAD_KEEP}, {"zero", DEAD_ZERO}, {NULL, 0}};

#define AT(field) offsetof(struct solve_opts, field)
const struct opt sweep_rows[] = {
    {"order", OPT_CHOICE, AT(order), "NAME",
     .help = "of the columns: as they are, by diagonal, by group, by smallest pivot", .def = "act",
     .choices = orders},
    {"groups", OPT_CHOICE, AT(groups), "NAME",
     .help = "group scales from the weights as given, or as moved when the sweep gets there",
     .def = "static", .choices = groups},
    {"damp", OPT_REAL, AT(damp), "X",
     .help = "added to the diagonal, as a part of its mean; more when that fails", .def = "0.01",
     .min = 0, .max = 10},
    {"dead", OPT_CHOICE, AT(dead), "NAME",
     .help = "inputs that are always 0: keep their weights or zero them", .def = "keep",
     .choices = deads},
    {"block", OPT_INT, AT(block), "N", .help = "columns between two large updates; speed only",
     .def = "128", .min = 1, .max = 1 << 24},
    {.name = NULL},
};
