/* SPDX-License-Identifier: Apache-2.0 */
/* solve_damp - damping as the options of solvers say it: the diagonal of H, and the factor of its
 * inverse (common/tensor/inverse.h). */
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

/* inverse_factor at o->damp, or direct_factor; st says what it needed, added [K], unless it is
 * NULL, what was added to the diagonal of H. */
int damp_factor(const struct solve_opts *o, size_t K, const double *H, const double *diag,
                const size_t *order, int direct, double *U, double *added, struct solve_stats *st,
                struct par *p, struct err *e);

#endif
