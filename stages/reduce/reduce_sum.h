/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_sum - the sums of one site: a packed f64 triangle per lane, merged in lane order.
 * Private to the stage. */
#ifndef PTQ_REDUCE_SUM_H
#define PTQ_REDUCE_SUM_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/base/par.h"
#include "../../common/wire/msg_chunk.h"
#include "reduce_slab.h"

struct length_bin {
    uint64_t length, sequences;
    double sum_w;
    /* [K] sum over its rows of x_k^2, every weight 1; NULL: not collected */
    double *squares;
};

/* What is added up over the rows of a chunk, a lane or a site. */
struct sums {
    struct slab *s; /* packed lower triangle, K(K+1)/2; NULL: nothing in it yet */
    struct slab *d; /* [K,K] sum_t w_t (x~_t - x_t) x_t'; NULL: not collected */
    double sum_w, sum_w2;
    uint64_t tokens, sequences, bytes;
    size_t nbins, bins_cap;
    struct length_bin *bins; /* in order of length */
};

/* tile: [K,K] f32, of D or of a class; diagonal: [K] of the products of rows; rows, drift: [T,K]
 * f32, blas_row(K) apart; picked, picked_full, w, lengths: some rows of a message
 * (reduce_class.c). All grow as needed. */
struct sums_scratch {
    float *tile, *diagonal, *rows, *drift;
    size_t tile_cap, diagonal_cap, rows_cap, drift_cap;
    void *picked, *picked_full;
    float *w;
    int32_t *lengths;
    size_t picked_cap, picked_full_cap, w_cap, lengths_cap;
    /* Of the rows that sums_add_rows added last, as weighed against each other: their squares, and
     * those of the first row of each sequence. */
    double energy, first_energy;
    int plain; /* these rows lie in `rows` as they came */
};

void sums_release(struct sums *x);
void sums_scratch_release(struct sums_scratch *t);
/* Adds the rows of one chunk; opens x where it is empty, with D when they have those of the
 * full-precision model. */
int sums_add_rows(struct sums *x, const struct slab_home *home, const struct acts_view *a,
                  struct sums_scratch *t, struct par *p, struct err *e);
/* Opens x where it is empty: a chunk of which no token goes to an expert (INTERFACES.md, 3.2). */
int sums_add_none(struct sums *x, const struct slab_home *home, const struct acts_view *a,
                  struct err *e);
/* t->rows = sqrt(w) x. */
int sums_weigh_rows(const struct acts_view *a, struct sums_scratch *t, struct err *e);
/* s += c tile: the lower triangle of tile [K,K] to a packed one. An infinite or NaN diagonal is
 * an error. */
int sums_add_tile(double *s, const float *tile, size_t K, double c, struct par *p, struct err *e);
/* Adds the squares of its rows, by length. */
int sums_add_squares(struct sums *x, const struct acts_view *a, struct par *p, struct err *e);
/* x += y, element by element; y is empty afterwards. */
int sums_merge(struct sums *x, struct sums *y, const struct slab_home *home, size_t K,
               struct err *e);

#endif
