/* SPDX-License-Identifier: Apache-2.0 */
/* solve_damp - the factor of the damped inverse Hessian, H^-1 = U'U with U upper triangular, and
 * what is tried when H cannot be factored: more damping, then a floor under the diagonal, then
 * nothing (round to nearest). */
#ifndef PTQ_SOLVE_DAMP_H
#define PTQ_SOLVE_DAMP_H

#include <stddef.h>
#include <stdint.h>
#include "solver.h"

/* Marks columns that calibration never reached (H_jj = 0) and gives the diagonal that replaces H's:
 * 1 for such a column with DEAD_ZERO, the mean of the others with DEAD_KEEP (1 when all are dead).
 * diag [K] and dead [K] are filled; returns the number of dead columns. */
size_t damp_dead(const struct solve_opts *o, size_t K, const double *H, double *diag,
                 uint8_t *dead);

/* The diagonal of the H that fits and refinement use: as above, plus o->damp times its mean. */
void damp_diag(const struct solve_opts *o, size_t K, const double *H, double *diag, uint8_t *dead);

/* Fills U [K,K] (in the given order of columns; below the diagonal it holds nothing of use). 0, or
 * -1 on error. Damping goes o->damp, then the larger ones of 0.02 0.05 0.1 0.2 0.5, times the mean
 * of diag; then, at the last damping, diagonal entries below 1e-6 .. 1e-1 of the largest are raised
 * to it ("floor"); then U is of no use and st->fallback is "rtn". */
int damp_factor(const struct solve_opts *o, size_t K, const double *H, const double *diag,
                const size_t *order, double *U, struct solve_stats *st, struct err *e);

#endif
