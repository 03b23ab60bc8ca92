/* SPDX-License-Identifier: Apache-2.0 */
/* solve_equal - weights for the classes of rows of a problem (ptq-solve --equalise), found from its
 * sums alone: each class is to lose the same share of its own output energy tr(W S_c W'), instead
 * of what falls to it by the number and size of its rows. A generalisation of MaCa (arXiv
 * 2602.07465), where each sequence counts alike. Private to the stage.
 *
 * The site is solved, the shares are measured, the weight of a class is multiplied by its share
 * over the mean of all, and so on. */
#ifndef PTQ_SOLVE_EQUAL_H
#define PTQ_SOLVE_EQUAL_H

#include "work.h"

/* Fills w->sums and w->mix, as solve_mix_choose does, and w->equal with the weights, for classes
 * of the kind that is asked for, after the linears have been divided into parts. ERR_USE: the
 * problem holds none, or a solver needs D, which they do not have. */
int solve_equal_choose(struct work *w, struct par *p, struct err *e);
/* Its errors, before anything is solved. */
int solve_equal_check(const struct work *w, struct err *e);

#endif
