/* SPDX-License-Identifier: Apache-2.0 */
/* solve_expand - from raw sums of a problem to the matrices that solvers take. */
#ifndef PTQ_SOLVE_EXPAND_H
#define PTQ_SOLVE_EXPAND_H

#include "../../common/wire/msg_problem.h"

/* Refuses NaN and infinity by the tensor's name. t may be NULL. */
int expand_check(const struct msg *m, const struct tensor *t, struct err *e);
/* Frees the data of one tensor of the message; the view's pointer to it stays, without data. */
void expand_drop(struct msg *m, const struct tensor *t);
/* H [K,K] = S / sum w from one triangle, D [K,K] = D / sum w (NULL when the sums hold none). The
 * raw sums are freed as soon as they are read. Without tokens: H as it is, no D. */
int expand_sums(struct msg *m, size_t K, const struct problem_sums *s, double **H, double **D,
                struct err *e);

#endif
