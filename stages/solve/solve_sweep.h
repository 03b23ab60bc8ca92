/* SPDX-License-Identifier: Apache-2.0 */
/* solve_sweep - the column by column pass that GPTQ and its relatives share.
 *
 * Rows are independent: tiles of SOLVE_TILE rows run in parallel. Within a tile, columns are taken
 * in the given order; each is rounded, and its error e = (w - q) / U_jj moves all later columns by
 * -e U[j,later]. Columns of the same block move at once, those after it in one product when the
 * block is done: the same sums in another order. Terms of the relatives are added in the same way,
 * so none of them depends on the block either. */
#ifndef PTQ_SOLVE_SWEEP_H
#define PTQ_SOLVE_SWEEP_H

#include <stddef.h>
#include <stdint.h>
#include "solver.h"

/* Zero where a solver does not say otherwise. */
struct sweep {
    const double *U; /* [K,K], H^-1 = U'U, rows and columns in processing order; NULL: no feedback,
                        plain rounding */
    const size_t *order;  /* [K] column taken at each step; NULL: as they come */
    const uint8_t *clear; /* [K] columns set to 0 first (per-row grids are fitted before that, group
                             grids after); NULL: none */
    const double *start;  /* [N,K] values the columns start from; grids are still those of W.
                             NULL: W */
    const double *P;      /* [K,K] in processing order: later += p P[j,later], p as source says */
    const double *keep;   /* [K,K] the same with w0 - p, w0 what the column started from */
    enum p_source source; /* not P_AUTO */
    double beta;          /* e = (w - q - beta (w - w0)) / U_jj; a column first moves by
                             -beta (w - w0), unless it is the first of `pull` columns */
    size_t pull;          /* 0: there are no such firsts but the very first */
    int64_t tries;        /* further passes with random rounding; each row keeps its best */
    uint64_t seed;
};

/* Fills codes, scales and zeros of the job, and its bound: no row can lose more than
 * 1/4 sum_j (s_j / U_jj)^2, s_j the widest step of its grid, in the damped H, unless a weight
 * leaves its grid (Babai; arXiv 2507.18553). The bound is the sum over rows; NaN without U. */
int sweep_run(const struct solve_opts *o, const struct sweep *s, struct solve_job *j, struct par *p,
              struct err *e);

#endif
