/* SPDX-License-Identifier: Apache-2.0 */
/* solve_band - the rows that one worker takes through a sweep together: a few tiles, side by side
 * in one matrix, so that what a block of columns does to all later ones is one product. The more
 * rows such a product has, the less of it goes into packing the factor's panel.
 *
 * How rows are cut into bands depends on their number alone, never on that of the threads. */
#ifndef PTQ_SOLVE_BAND_H
#define PTQ_SOLVE_BAND_H

#include "../../common/base/rng.h"
#include "solve_terms.h"
#include "solve_tile.h"

/* Tiles of a band at most, and how many bands there are to be, where there are as many tiles, so
 * that several threads find work. */
#define SOLVE_BAND ((size_t)8)
#define SOLVE_BANDS ((size_t)4)

size_t solve_band_count(size_t N);
/* The first tile of band i; of i = the count, the number of tiles. */
size_t solve_band_start(size_t N, size_t i);
/* Tiles of the largest band. */
size_t solve_band_most(size_t N);

/* Sums over the rows of a tile (struct band_tile). */
struct told {
    double fed, more, square;
};

struct sweeping {
    const struct solve_opts *o;
    const struct sweep *s;
    struct solve_job *j;
    size_t K, G, group, block;
    int dynamic, from; /* from: w0 is needed */
    double sharp;      /* log of the rho of random roundings */
    double *bound;     /* one per tile */
    struct told *told; /* one per tile; NULL: the loss is not told */
    struct band *band; /* one per worker */
};

/* One tile of a band. */
struct band_tile {
    size_t first;               /* row of the matrix */
    double *scale, *zero;       /* [G][SOLVE_TILE] */
    uint8_t *codes;             /* [K][SOLVE_TILE], by column of the matrix */
    uint8_t *best;              /* the same of the best pass so far */
    uint8_t *fitted;            /* [G] */
    double *score, *best_score; /* [SOLVE_TILE] sums of squared errors, of this pass and the best */
    /* A random pass: every row has a stream of its own, so that tiles do not matter; weight: rho
     * to the power of -1 / least (s / U_jj)^2. */
    struct rng *rng;
    double *weight;
    /* By row, where the loss is told: the sum of squared errors, what the diagonal has more times
     * (w - q)^2, and the sum of that. */
    double fed[SOLVE_TILE], more[SOLVE_TILE], square[SOLVE_TILE];
};

struct band {
    size_t tiles, ld; /* ld: rows, those past the end of the matrix too */
    struct band_tile tile[SOLVE_BAND];
    double *w;           /* [K][SOLVE_TILE] weights of a tile as they came */
    double *x;           /* [K][ld] in processing order, moved by the errors so far */
    double *w0;          /* [K][ld] x before anything moved; only where it is needed */
    double *err;         /* [block][ld] */
    double *pass, *hold; /* [block][ld] minus p, minus (w0 - p) */
    double *now;         /* [block][SOLVE_TILE] the columns of a block of a tile */
    double *fit;         /* [group][SOLVE_TILE] current values of a dynamic group */
    size_t *place;       /* [K] step at which a column is taken */
};

/* Takes the memory for bands of a run; what there is on error is released too. */
int band_init(struct band *b, const struct sweeping *run, struct err *e);
void band_release(struct band *b);
/* Band i: weights are read, static grids fitted and, with a factor, x is set. */
int band_open(struct band *b, const struct sweeping *run, size_t i, struct err *e);
/* x as band_open left it; only where w0 is. */
void band_again(struct band *b, const struct sweeping *run);
/* Codes, scales and zeros go to the job. */
void band_store(const struct band *b, const struct sweeping *run);

/* Rows of a tile that the matrix has. */
static inline size_t band_rows(const struct sweeping *run, const struct band_tile *t)
{
    return run->j->N - t->first < SOLVE_TILE ? run->j->N - t->first : SOLVE_TILE;
}

/* The column of the matrix that step i takes. */
static inline size_t band_column(const struct sweeping *run, size_t i)
{
    return run->s->order ? run->s->order[i] : i;
}

#endif
