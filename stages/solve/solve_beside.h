/* SPDX-License-Identifier: Apache-2.0 */
/* solve_beside - which weights stand beside the codes, as they are: a share of each linear, those
 * of the highest scores. The shares are of the options, so a plan knows how many there are. */
#ifndef PTQ_SOLVE_BESIDE_H
#define PTQ_SOLVE_BESIDE_H

#include "solver.h"

/* share of n, to the nearest whole number. */
size_t beside_count(double share, size_t n);
/* Marks the `count` highest scores (none below 0, no NaN) of those of n that are not marked yet;
 * of equal ones the first. */
int beside_mark(const float *score, size_t n, size_t count, uint8_t *mark, struct err *e);
/* [N,K] of the absolute values of the weights; the caller frees them. */
float *beside_sizes(const struct solve_job *j, struct err *e);
/* j->beside and j->apart from the marks [N,K]: NAME.sparse_end, .sparse_column, .sparse_value. */
int beside_take(struct solve_job *j, const uint8_t *mark, struct err *e);

/* What stands in these three. */
struct sparse beside_of(const struct tensor part[3]);

/* Can the solver do what the options say of such weights? */
int beside_check(const struct solve_opts *o, const char *solver, struct err *e);

#endif
