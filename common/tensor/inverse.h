/* SPDX-License-Identifier: Apache-2.0 */
/* inverse - factors of a damped Hessian, H = R R', and of its inverse, H^-1 = U'U, R and U = R^-1
 * upper triangular; and what is tried when H cannot be factored: more damping, then a floor under
 * the diagonal, then nothing. */
#ifndef PTQ_INVERSE_H
#define PTQ_INVERSE_H

#include <stddef.h>
#include "../base/err.h"
#include "../base/par.h"

struct inverse_used {
    double damp;          /* what the factorisation needed, relative to the mean diagonal */
    double add, least;    /* the diagonal became max(diag, least) + add */
    int attempts;         /* factorisations tried, the successful one included */
    const char *fallback; /* NULL, "floor", "rtn": U is of no use */
};

/* Fills U [K,K] (in the given order of columns; 0 below the diagonal) from H [K,K], of which the
 * lower triangle is read, with diag [K] in place of its diagonal. 0, or -1 on error. Damping
 * goes damp, then the larger ones of 0.02 0.05 0.1 0.2 0.5, times the mean of diag; then, at
 * the last damping, diagonal entries below 1e-6 .. 1e-1 of the largest are raised to it. U is to
 * come from malloc: what of it was not touched before, or is 0 afterwards, takes no memory where
 * it is large. */
int inverse_factor(double damp, size_t K, const double *H, const double *diag, const size_t *order,
                   double *U, struct inverse_used *used, struct par *p, struct err *e);

/* The same without inverting, for half of the work: V is to have R[i,j] / R[j,j] above the diagonal
 * and 1 / R[j,j], which is U[j,j], on it. */
int direct_factor(double damp, size_t K, const double *H, const double *diag, const size_t *order,
                  double *V, struct inverse_used *used, struct par *p, struct err *e);

#endif
