/* SPDX-License-Identifier: Apache-2.0 */
/* solve_expand - from raw sums of a problem to the matrices that solvers take. */
#ifndef PTQ_SOLVE_EXPAND_H
#define PTQ_SOLVE_EXPAND_H

#include "../../common/base/par.h"
#include "../../common/wire/msg_problem.h"

/* Refuses NaN and infinity by the tensor's name. t and, here and below, par may be NULL. */
int expand_check(const struct msg *m, const struct tensor *t, struct par *par, struct err *e);
/* Frees the data of one tensor of the message; the view's pointer to it stays, without data. */
void expand_drop(struct msg *m, const struct tensor *t);
/* Sums that are added with a factor: raw, as a problem holds them. */
struct expand_part {
    const struct tensor *S, *D; /* D NULL: none */
    double factor;
};

/* What of H is filled in. HALF: the lower triangle, and the blocks of EXPAND_BLOCK columns on the
 * diagonal whole; the rest is not touched, and takes no memory where H is large. */
enum expand_how { EXPAND_WHOLE, EXPAND_HALF };
#define EXPAND_BLOCK 128

/* H [K,K] = S / sum w from one triangle, D [K,K] = D / sum w (NULL when the sums hold none). The
 * raw sums are freed as soon as they are read. Without tokens: H as it is, no D. */
int expand_sums(struct msg *m, size_t K, const struct problem_sums *s, enum expand_how how,
                struct par *par, double **H, double **D, struct err *e);
/* The same from the sum of n parts, in their order, over sum_w, which may not be 0; D when each
 * part has one. The parts are not freed. */
int expand_mix(struct msg *m, size_t K, const struct expand_part *part, size_t n, double sum_w,
               struct par *par, double **H, double **D, struct err *e);

#endif
