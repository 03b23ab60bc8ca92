/* SPDX-License-Identifier: Apache-2.0 */
/* solve_sweep - the column by column pass that GPTQ and its relatives share.
 *
 * Rows are independent: bands of some tiles of SOLVE_TILE rows run in parallel. Columns are taken
 * in the given order; each is rounded, and its error e = (w - q) / U_jj moves all later columns by
 * -e U[j,later]. Columns of the same block move at once, tile by tile, those after it in one
 * product for the band when the block is done: the same sums in another order. Terms of the
 * relatives are added in the same way, so none of them depends on the block either. */
#ifndef PTQ_SOLVE_SWEEP_H
#define PTQ_SOLVE_SWEEP_H

#include "solve_terms.h"

/* Fills codes, scales and zeros of the job, and its bound: no row can lose more than
 * 1/4 sum_j (s_j / U_jj)^2, s_j the widest step of its grid, in the damped H, unless a weight
 * leaves its grid (Babai; arXiv 2507.18553). The bound is the sum over rows; NaN without U. */
int sweep_run(const struct solve_opts *o, const struct sweep *s, struct solve_job *j, struct par *p,
              struct err *e);

#endif
