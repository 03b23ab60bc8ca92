/* SPDX-License-Identifier: Apache-2.0 */
/* solve_terms - what a solver gives to the column by column pass (solve_sweep.h): its factor and
 * the terms that its method adds. */
#ifndef PTQ_SOLVE_TERMS_H
#define PTQ_SOLVE_TERMS_H

#include <stddef.h>
#include <stdint.h>
#include "solver.h"

/* Zero where a solver does not say otherwise. */
struct sweep {
    const double *U; /* [K,K], H^-1 = U'U, rows and columns in processing order; NULL: no feedback,
                        plain rounding */
    /* U is that of direct_factor: later -= (q - w0) U[j,later]. Not with groups that are dynamic,
     * nor with P, keep or beta: until its turn a column is not what the others make of it. */
    int direct;
    /* [K] by column: what the factored H has more on its diagonal; the loss follows from the errors
     * then. NULL: it does not. Only where direct is set. */
    const double *added;
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

#endif
