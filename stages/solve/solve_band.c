/* SPDX-License-Identifier: Apache-2.0 */
/* solve_band - see solve_band.h: its memory, how it is filled and emptied. */
#include "solve_band.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "solve_grid.h"

#define R SOLVE_TILE

static size_t ceil_of(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

size_t solve_band_count(size_t N)
{
    const size_t tiles = solve_tile_count(N), few = tiles < SOLVE_BANDS ? tiles : SOLVE_BANDS;
    const size_t full = ceil_of(tiles, SOLVE_BAND);

    return full > few ? full : few;
}

size_t solve_band_start(size_t N, size_t i)
{
    const size_t tiles = solve_tile_count(N), count = solve_band_count(N);
    const size_t each = count ? tiles / count : 0, more = count ? tiles % count : 0;

    return i * each + (i < more ? i : more);
}

size_t solve_band_most(size_t N)
{
    const size_t count = solve_band_count(N);

    return count ? ceil_of(solve_tile_count(N), count) : 0;
}

/* ---- memory ---- */

static void tile_release(struct band_tile *t)
{
    free(t->scale);
    free(t->zero);
    free(t->codes);
    free(t->best);
    free(t->fitted);
    free(t->score);
    free(t->best_score);
    free(t->rng);
    free(t->weight);
}

void band_release(struct band *b)
{
    for (size_t i = 0; i < SOLVE_BAND; i++)
        tile_release(&b->tile[i]);
    free(b->w);
    free(b->x);
    free(b->w0);
    free(b->err);
    free(b->pass);
    free(b->hold);
    free(b->now);
    free(b->fit);
    free(b->place);
}

static int tile_init(struct band_tile *t, const struct sweeping *run, struct err *e)
{
    const size_t col = R * sizeof(double);

    if (!(t->scale = mem_raw(run->G, col, e)) || !(t->zero = mem_raw(run->G, col, e)) ||
        !(t->codes = mem_raw(run->K, R, e)) || !(t->fitted = mem_array(run->G, 1, e)))
        return -1;
    if (run->s->tries > 0 &&
        (!(t->best = mem_raw(run->K, R, e)) || !(t->score = mem_raw(1, col, e)) ||
         !(t->best_score = mem_raw(1, col, e)) || !(t->weight = mem_raw(1, col, e)) ||
         !(t->rng = mem_array(R, sizeof *t->rng, e))))
        return -1;
    return 0;
}

int band_init(struct band *b, const struct sweeping *run, struct err *e)
{
    const size_t K = run->K, most = solve_band_most(run->j->N), col = R * sizeof(double);
    const size_t wide = most * col;

    for (size_t i = 0; i < most; i++)
        if (tile_init(&b->tile[i], run, e))
            return -1;
    if (!(b->w = mem_raw(K, col, e)))
        return -1;
    if (!run->s->U)
        return 0;
    if (!(b->x = mem_raw(K, wide, e)) || !(b->err = mem_raw(run->block, wide, e)) ||
        !(b->now = mem_raw(run->block, col, e)) ||
        !(b->place = mem_array(K, sizeof *b->place, e)) ||
        (run->dynamic && !(b->fit = mem_raw(run->group, col, e))) ||
        (run->s->P && !(b->pass = mem_raw(run->block, wide, e))) ||
        (run->s->keep && !(b->hold = mem_raw(run->block, wide, e))) ||
        (run->from && !(b->w0 = mem_raw(K, wide, e))))
        return -1;
    for (size_t i = 0; i < K; i++)
        b->place[band_column(run, i)] = i;
    return 0;
}

/* ---- from weights to x ---- */

static void clear_columns(const struct sweeping *run, double *w)
{
    for (size_t k = 0; run->s->clear && k < run->K; k++)
        if (run->s->clear[k])
            memset(w + k * R, 0, R * sizeof *w);
}

/* Grids of all groups from the weights as they came. */
static int fit_static(const struct sweeping *run, const double *w, struct band_tile *t,
                      struct err *e)
{
    for (size_t g = 0; g < run->G; g++) {
        const size_t start = g * run->group,
                     n = run->K - start < run->group ? run->K - start : run->group;
        if (solve_grid_fit(run->o, run->j, t->first, start, w + start * R, n, t->scale + g * R,
                           t->zero + g * R, e))
            return -1;
    }
    return 0;
}

/* x of a tile, in processing order, from the weights or from where the solver wants to start. */
static void set_start(struct band *b, const struct sweeping *run, size_t at)
{
    const struct band_tile *t = &b->tile[at];
    const size_t rows = band_rows(run, t);

    for (size_t i = 0; i < run->K; i++) {
        const size_t column = band_column(run, i);
        double *x = b->x + i * b->ld + at * R;

        memcpy(x, b->w + column * R, R * sizeof *x);
        for (size_t r = 0; run->s->start && r < rows; r++)
            x[r] = run->s->start[(t->first + r) * run->K + column];
    }
}

static void round_plain(const struct band *b, const struct sweeping *run, struct band_tile *t)
{
    double q[R];

    for (size_t k = 0; k < run->K; k++) {
        const size_t g = k / run->group;
        const struct grid_lanes lanes = {run->o->bits, t->scale + g * R, t->zero + g * R};
        run->o->grid->nearest(&lanes, b->w + k * R, q, t->codes + k * R);
    }
}

static int tile_open(struct band *b, const struct sweeping *run, size_t at, struct err *e)
{
    struct band_tile *t = &b->tile[at];
    const struct solve_job *j = run->j;

    if (solve_tile_load(j->w_type, j->W, j->N, j->K, t->first, b->w, R))
        return err_set(e, ERR_USE, "%s: weights are %s, not a float type", j->name,
                       dtype_name(j->w_type));
    if (run->o->group > 0)
        clear_columns(run, b->w);
    if (!run->dynamic && fit_static(run, b->w, t, e))
        return -1;
    if (run->o->group < 0)
        clear_columns(run, b->w);
    if (run->s->U)
        set_start(b, run, at);
    else
        round_plain(b, run, t);
    return 0;
}

int band_open(struct band *b, const struct sweeping *run, size_t i, struct err *e)
{
    const size_t start = solve_band_start(run->j->N, i);

    b->tiles = solve_band_start(run->j->N, i + 1) - start;
    b->ld = b->tiles * R;
    for (size_t at = 0; at < b->tiles; at++) {
        b->tile[at].first = (start + at) * R;
        memset(b->tile[at].fitted, 0, run->G);
        memset(b->tile[at].fed, 0, sizeof b->tile[at].fed);
        memset(b->tile[at].more, 0, sizeof b->tile[at].more);
        memset(b->tile[at].square, 0, sizeof b->tile[at].square);
        if (tile_open(b, run, at, e))
            return -1;
    }
    if (b->w0)
        memcpy(b->w0, b->x, run->K * b->ld * sizeof *b->x);
    return 0;
}

void band_again(struct band *b, const struct sweeping *run)
{
    memcpy(b->x, b->w0, run->K * b->ld * sizeof *b->x);
}

/* ---- what becomes of it ---- */

static void tile_store(const struct sweeping *run, const struct band_tile *t)
{
    const size_t K = run->K, G = run->G, rows = band_rows(run, t);

    for (size_t k0 = 0; k0 < K; k0 += R)
        for (size_t r = 0; r < rows; r++) {
            uint8_t *codes = run->j->codes + (t->first + r) * K;
            for (size_t k = k0; k < K && k < k0 + R; k++)
                codes[k] = t->codes[k * R + r];
        }
    for (size_t r = 0; r < rows; r++) {
        for (size_t g = 0; g < G; g++) {
            run->j->scales[(t->first + r) * G + g] = t->scale[g * R + r];
            if (run->j->zeros)
                run->j->zeros[(t->first + r) * G + g] = (uint8_t)t->zero[g * R + r];
        }
    }
}

void band_store(const struct band *b, const struct sweeping *run)
{
    for (size_t at = 0; at < b->tiles; at++)
        tile_store(run, &b->tile[at]);
}
