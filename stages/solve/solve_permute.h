/* SPDX-License-Identifier: Apache-2.0 */
/* solve_permute - groups of inputs that follow the order of activation (--desc-act): the problem is
 * turned round so that its columns stand in that order, solved as if they had always stood so, and
 * the codes are turned back. With --groups dynamic that is what the official GPTQ does with
 * desc_act and without static groups. */
#ifndef PTQ_SOLVE_PERMUTE_H
#define PTQ_SOLVE_PERMUTE_H

#include "work.h"

/* Sets w->order, and puts H, D, those that are held out, and the weights into it. Nothing where
 * the option is not given. */
int permute_problem(struct work *w, struct err *e);
/* X [K,K] in that order, in place; nothing without one. */
int permute_square(const struct work *w, double *X, struct err *e);
/* Codes of the answer as the inputs come, with their groups beside them where there are several. */
int permute_back(const struct work *w, struct answer *a, struct err *e);

#endif
