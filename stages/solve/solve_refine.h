/* SPDX-License-Identifier: Apache-2.0 */
/* solve_refine - scales once more, after the codes are chosen. */
#ifndef PTQ_SOLVE_REFINE_H
#define PTQ_SOLVE_REFINE_H

#include "solver.h"

/* o->refine passes over the groups of every row, in ascending order: each scale becomes the best
 * one for the frozen codes under the damped H, and, where the job has D, o->refine_alpha of D.
 * It is rounded to its type; one that would not be positive or would overflow stays as it is.
 * Works for any solver; without H nothing happens. */
int solve_refine(const struct solve_opts *o, struct solve_job *j, struct par *p, struct err *e);

#endif
