/* solve_sweep - the column by column pass that GPTQ and its relatives share.
 *
 * Rows are independent: tiles of SOLVE_TILE rows run in parallel. Within a tile, columns are taken
 * in the given order; each is rounded, and its error e = (w - q) / U_jj moves all later columns by
 * -e U[j,later]. Columns of the same block move at once, those after it in one product when the
 * block is done: the same sums in another order. */
#ifndef PTQ_SOLVE_SWEEP_H
#define PTQ_SOLVE_SWEEP_H

#include <stddef.h>
#include <stdint.h>
#include "solver.h"

struct sweep {
    const double *U; /* [K,K], H^-1 = U'U, rows and columns in processing order; NULL: no feedback,
                        plain rounding */
    const size_t *order;  /* [K] column taken at each step; NULL: as they come */
    const uint8_t *clear; /* [K] columns set to 0 first (per-row grids are fitted before that, group
                             grids after); NULL: none */
};

/* Fills codes, scales and zeros of the job. */
int sweep_run(const struct solve_opts *o, const struct sweep *s, struct solve_job *j, struct par *p,
              struct err *e);

#endif
