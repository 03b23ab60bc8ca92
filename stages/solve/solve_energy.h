/* SPDX-License-Identifier: Apache-2.0 */
/* solve_energy - what a linear gives out on average, tr(W H W'): what losses are set against. */
#ifndef PTQ_SOLVE_ENERGY_H
#define PTQ_SOLVE_ENERGY_H

#include "solver.h"

/* form = tr(W H W') as the sum of the elements of H times those of W'W, and square = |W|^2. W'W is
 * made by products of bf16 or f32 with sums in f32 over at most ENERGY_ROWS rows, so each of its
 * elements is off by that many times 2^-24 of its sum of magnitudes at most. Of H the lower
 * triangle is read. -1: no memory, or the weights are of no float type. */
#define ENERGY_ROWS ((size_t)2048)
int solve_energy(const struct solve_job *j, struct par *p, double *form, double *square,
                 struct err *e);

#endif
