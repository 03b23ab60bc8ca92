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
#include "../../common/format/grid_affine.h"
#include "../../common/tensor/blas.h"
#include "solve_band.h"
#include "solve_damp.h"
#include "solve_grid.h"

#define R SOLVE_TILE
#define LEAST_LEFT 0x1p-10

/* A tile of a band on its way through the columns [b0, b1). */
struct step {
    const struct sweeping *run;
    struct band *b;
    struct band_tile *t;
    size_t lane; /* where the tile stands in a row of the band */
    size_t b0, b1;
    int random;
};

/* What step i does to n columns from step `at` on. */
static void spread(const struct step *s, size_t i, size_t at, double *x, size_t n)
{
    const struct sweep *w = s->run->s;
    const size_t u = i * s->run->K + at, slot = (i - s->b0) * s->b->ld + s->lane;

    solve_tile_spread(x, n, s->b->err + slot, w->U + u);
    if (w->P)
        solve_tile_spread(x, n, s->b->pass + slot, w->P + u);
    if (w->keep)
        solve_tile_spread(x, n, s->b->hold + slot, w->keep + u);
}

/* Grid of one group from the values its columns have at step i: those of this block are up to
 * date, later ones still lack the block's errors. */
static int fit_dynamic(const struct step *s, size_t g, size_t i, struct err *e)
{
    const struct sweeping *run = s->run;
    const size_t start = g * run->group;

    for (size_t k = 0; k < run->group; k++) {
        const size_t at = s->b->place[start + k];
        const int here = at < s->b1;
        double *out = s->b->fit + k * R;

        memcpy(out, here ? s->b->now + (at - s->b0) * R : s->b->x + at * s->b->ld + s->lane,
               R * sizeof *out);
        for (size_t b = s->b0; !here && b < i; b++)
            spread(s, b, at, out, 1);
    }
    s->t->fitted[g] = 1;
    return solve_grid_fit(run->o, run->j, s->t->first, start, s->b->fit, run->group,
                          s->t->scale + g * R, s->t->zero + g * R, e);
}

/* Up or down at random, the nearer the likelier: odds of 1 to exp((s / U_jj)^2 (1 - 2 d) weight)
 * for going up when the value lies d above the lower code (Klein's sampler on two codes). */
static void round_random(const double *w, const double *s, const double *z, int bits, double u,
                         struct band_tile *t, double *q, uint8_t *code)
{
    const double top = affine_top(bits);

    for (size_t r = 0; r < R; r++) {
        const double c = fmin(fmax(w[r] / s[r] + z[r], 0.0), top), low = floor(c);
        const double far = s[r] / u * (s[r] / u) * (1.0 - 2.0 * (c - low)) * t->weight[r];
        const double up = rng_unit(&t->rng[r]) * (1.0 + exp(fmin(far, 700.0))) < 1.0;
        const double k = fmin(low + up, top);

        q[r] = affine_level(s[r], k, z[r]);
        code[r] = (uint8_t)k;
    }
}

/* What a rounded column hands on besides its error. w: its value, w0: what it started from. */
static void set_terms(const struct step *s, size_t i, const struct grid_lanes *lanes,
                      const double *w, const double *w0, const double *q)
{
    const struct sweep *sweep = s->run->s;
    const double beta = sweep->beta;
    const size_t slot = (i - s->b0) * s->b->ld + s->lane;
    double low[R], high[R];

    if (sweep->source == P_PRE_CLAMP && (sweep->P || sweep->keep))
        s->run->o->grid->ends(lanes, low, high);
    for (size_t r = 0; (sweep->P || sweep->keep) && r < R; r++) {
        double p = w[r];

        if (sweep->source == P_PRE_CLAMP)
            p = fmin(fmax(p, low[r]), high[r]);
        else if (sweep->source == P_Q)
            p = beta > 0.0 ? q[r] + beta * (w[r] - w0[r]) : q[r];
        if (sweep->P)
            s->b->pass[slot + r] = -p;
        if (sweep->keep)
            s->b->hold[slot + r] = -(w0[r] - p);
    }
}

static void pull(double beta, double *x, const double *w0)
{
    for (size_t r = 0; r < R; r++)
        x[r] -= beta * (x[r] - w0[r]);
}

/* Rounds column i of a tile; columns of its block move. */
static int take_column(const struct step *s, size_t i, struct err *e)
{
    const struct sweeping *run = s->run;
    const struct band *b = s->b;
    const double beta = run->s->beta, u = run->s->U[i * run->K + i];
    const size_t column = band_column(run, i), g = column / run->group;
    const struct grid_lanes lanes = {run->o->bits, s->t->scale + g * R, s->t->zero + g * R};
    const double *w0 = b->w0 ? b->w0 + i * b->ld + s->lane : NULL;
    double *w = b->now + (i - s->b0) * R, *err = b->err + (i - s->b0) * b->ld + s->lane, q[R];
    uint8_t *code = s->t->codes + column * R;

    if (beta > 0.0 && (run->s->pull ? i % run->s->pull : i) != 0)
        pull(beta, w, w0);
    if (run->dynamic && !s->t->fitted[g] && fit_dynamic(s, g, i, e))
        return -1;
    if (s->random)
        round_random(w, lanes.scale, lanes.zero, run->o->bits, u, s->t, q, code);
    else
        run->o->grid->nearest(&lanes, w, q, code);
    if (run->s->direct)
        solve_tile_direct(w, w0, q, u, run->told ? run->s->added[column] : 0.0, err, s->t->fed,
                          s->t->more, s->t->square);
    for (size_t r = 0; !run->s->direct && r < R; r++)
        err[r] = (w[r] - q[r]) / u;
    for (size_t r = 0; beta > 0.0 && r < R; r++)
        err[r] = (w[r] - q[r] - beta * (w[r] - w0[r])) / u;
    for (size_t r = 0; s->t->score && r < R; r++)
        s->t->score[r] += err[r] * err[r];
    set_terms(s, i, &lanes, w, w0, q);
    spread(s, i, i + 1, w + R, s->b1 - i - 1);
    return 0;
}

/* What the columns [b0, b1) do to all later ones of the band. */
static int after_block(const struct sweeping *run, const struct band *b, const double *terms,
                       const double *matrix, size_t b0, size_t b1, struct err *e)
{
    const size_t K = run->K;

    return blas_dgemm(NULL, 1, 0, K - b1, b->ld, b1 - b0, -1.0, matrix + b0 * K + b1, K, terms,
                      b->ld, 1.0, b->x + b1 * b->ld, b->ld, e);
}

static int sweep_block(const struct sweeping *run, struct band *b, size_t b0, size_t b1, int random,
                       struct err *e)
{
    for (size_t at = 0; at < b->tiles; at++) {
        const struct step s = {run, b, &b->tile[at], at * R, b0, b1, random};

        for (size_t i = b0; i < b1; i++)
            memcpy(b->now + (i - b0) * R, b->x + i * b->ld + s.lane, R * sizeof *b->now);
        for (size_t i = b0; i < b1; i++)
            if (take_column(&s, i, e))
                return -1;
    }
    if (b1 == run->K)
        return 0;
    if (after_block(run, b, b->err, run->s->U, b0, b1, e) ||
        (run->s->P && after_block(run, b, b->pass, run->s->P, b0, b1, e)))
        return -1;
    return run->s->keep ? after_block(run, b, b->hold, run->s->keep, b0, b1, e) : 0;
}

static int sweep_feedback(const struct sweeping *run, struct band *b, int random, struct err *e)
{
    for (size_t b0 = 0, b1; b0 < run->K; b0 = b1) {
        b1 = run->K - b0 > run->block ? b0 + run->block : run->K;
        if (sweep_block(run, b, b0, b1, random, e))
            return -1;
    }
    return 0;
}

/* Rows whose pass was their best so far keep its codes. */
static void keep_best(const struct sweeping *run, struct band_tile *t, int64_t try)
{
    for (size_t r = 0; r < R; r++) {
        if (try > 0 && t->score[r] >= t->best_score[r])
            continue;
        t->best_score[r] = t->score[r];
        for (size_t k = 0; k < run->K; k++)
            t->best[k * R + r] = t->codes[k * R + r];
    }
}

static void weigh_draws(const struct sweeping *run, struct band_tile *t)
{
    for (size_t r = 0; r < R; r++) {
        double least = INFINITY;
        for (size_t i = 0; i < run->K; i++) {
            const size_t g = band_column(run, i) / run->group;
            const double ratio = t->scale[g * R + r] / run->s->U[i * run->K + i];
            least = fmin(least, ratio * ratio);
        }
        t->weight[r] = run->sharp / least;
    }
}

/* The plain pass, then random ones; grids are static here. */
static int sweep_random(const struct sweeping *run, struct band *b, struct err *e)
{
    for (size_t at = 0; at < b->tiles; at++)
        weigh_draws(run, &b->tile[at]);
    for (int64_t try = 0; try <= run->s->tries; try++) {
        for (size_t at = 0; at < b->tiles; at++) {
            struct band_tile *t = &b->tile[at];
            for (size_t r = 0; r < R; r++) {
                rng_seed(&t->rng[r], run->s->seed + (uint64_t)try, t->first + r);
                t->score[r] = 0.0;
            }
        }
        if (try > 0)
            band_again(b, run);
        if (sweep_feedback(run, b, try > 0, e))
            return -1;
        for (size_t at = 0; at < b->tiles; at++)
            keep_best(run, &b->tile[at], try);
    }
    for (size_t at = 0; at < b->tiles; at++)
        memcpy(b->tile[at].codes, b->tile[at].best, run->K * R);
    return 0;
}

/* The a-priori bound over the rows of a tile. */
static double tile_bound(const struct sweeping *run, const struct band_tile *t)
{
    const size_t rows = band_rows(run, t);
    const double step = run->o->grid->step;
    double sum = 0.0;

    for (size_t i = 0; i < run->K; i++) {
        const size_t g = band_column(run, i) / run->group;
        const double u = run->s->U[i * run->K + i];
        for (size_t r = 0; r < rows; r++)
            sum += t->scale[g * R + r] * t->scale[g * R + r] / (u * u);
    }
    return 0.25 * step * step * sum;
}

static struct told tile_told(const struct sweeping *run, const struct band_tile *t)
{
    struct told sum = {0.0, 0.0, 0.0};

    for (size_t r = 0; r < band_rows(run, t); r++) {
        sum.fed += t->fed[r];
        sum.more += t->more[r];
        sum.square += t->square[r];
    }
    return sum;
}

static int sweep_band(void *ctx, size_t i, size_t worker, struct err *e)
{
    struct sweeping *run = ctx;
    struct band *b = &run->band[worker];

    if (!b->w && band_init(b, run, e))
        return -1;
    if (band_open(b, run, i, e))
        return -1;
    if (run->s->U && (run->s->tries > 0 ? sweep_random(run, b, e) : sweep_feedback(run, b, 0, e)))
        return -1;
    for (size_t at = 0; run->s->U && at < b->tiles; at++)
        run->bound[b->tile[at].first / R] = tile_bound(run, &b->tile[at]);
    for (size_t at = 0; run->told && at < b->tiles; at++)
        run->told[b->tile[at].first / R] = tile_told(run, &b->tile[at]);
    band_store(b, run);
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

static int set_diag(const struct sweeping *run, double **diag, struct err *e)
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

/* The squared errors are the loss in the factored H: less what that has more on its diagonal. Where
 * it has nearly all there, too little is left of the digits. */
static void tell_loss(const struct sweeping *run)
{
    struct solve_job *j = run->j;
    struct told sum = {0.0, 0.0, 0.0};

    j->told = 0;
    for (size_t i = 0; run->told && i < solve_tile_count(j->N); i++) {
        sum.fed += run->told[i].fed;
        sum.more += run->told[i].more;
        sum.square += run->told[i].square;
    }
    j->loss = sum.fed - sum.more;
    j->square = sum.square;
    j->told = run->told && j->loss >= sum.fed * LEAST_LEFT;
}

int sweep_run(const struct solve_opts *o, const struct sweep *s, struct solve_job *j, struct par *p,
              struct err *e)
{
    struct sweeping run = {
        .o = o, .s = s, .j = j, .K = j->K, .block = o->block < j->K ? o->block : j->K};
    double *diag = NULL;
    int rc = -1;

    run.group = o->group > 0 ? (size_t)o->group : j->K;
    run.G = j->K / run.group;
    run.dynamic = s->U && o->groups == GROUPS_DYNAMIC && run.group < j->K;
    run.from = s->keep || s->beta > 0.0 || s->tries > 0 || s->direct;
    run.sharp = s->tries > 0 ? sharpness(j->K, s->tries) : 0.0;
    if (set_diag(&run, &diag, e))
        return -1;
    run.band = mem_array(par_threads(p), sizeof *run.band, e);
    run.bound = mem_array(solve_tile_count(j->N), sizeof *run.bound, e);
    if (s->added && !s->clear)
        run.told = mem_array(solve_tile_count(j->N), sizeof *run.told, e);
    if (!run.band || !run.bound || (s->added && !s->clear && !run.told))
        goto out;
    rc = par_for(p, solve_band_count(j->N), sweep_band, &run, e);
    j->bound = s->U ? 0.0 : NAN;
    for (size_t i = 0; s->U && i < solve_tile_count(j->N); i++)
        j->bound += run.bound[i];
    tell_loss(&run);
out:
    for (size_t i = 0; run.band && i < par_threads(p); i++)
        band_release(&run.band[i]);
    free(run.band);
    free(run.bound);
    free(run.told);
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
