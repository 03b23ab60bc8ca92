/* SPDX-License-Identifier: Apache-2.0 */
/* solve_factor - what the solvers with feedback prepare for a site: the order of its columns,
 * the factor of its damped inverse Hessian, and the matrices that bring the full-precision
 * inputs in. */
#ifndef PTQ_SOLVE_FACTOR_H
#define PTQ_SOLVE_FACTOR_H

#include "solve_sweep.h"

struct factor {
    size_t K;
    double *U;     /* [K,K] upper, 0 below, in processing order */
    size_t *order; /* [K] */
    uint8_t *dead; /* [K] by column */
    double *P, *keep;
    double *added;      /* [K] by column; of a direct one */
    struct sweep sweep; /* ready to run; without U after fallback "rtn" */
};

struct factor *factor_open(const struct solve_opts *o, size_t K, const double *H, struct par *p,
                           struct solve_stats *st, struct err *e);
/* Of H instead of its inverse: for a sweep and no more than that. */
struct factor *factor_open_direct(const struct solve_opts *o, size_t K, const double *H,
                                  struct par *p, struct solve_stats *st, struct err *e);
void factor_close(struct factor **f);

/* P = alpha striu((A + B) U') U, striu the part above the diagonal; A and B [K,K] in column order,
 * B may be NULL. With A = D, row q of P is alpha D[q,q+1:] inv(H[q+1:,q+1:]) (GPTAQ, arXiv
 * 2504.02692). NULL on error. */
double *factor_term(const struct factor *f, const double *A, const double *B, double alpha,
                    struct par *p, struct err *e);

/* out [N,K] = W + alpha W D H^-1 (QEP, arXiv 2504.09629), H damped; columns that the sweep clears
 * count as 0 when clear is not 0. Without a factor: W. */
int factor_shift(const struct factor *f, const struct solve_job *j, double alpha, int clear,
                 double *out, struct par *p, struct err *e);

/* p_source with AUTO resolved. */
enum p_source factor_source(const struct solve_opts *o);

/* The parts of a solver that is a factor and a sweep. */
int factor_prepare(const struct solve_opts *o, size_t K, const double *H, const double *D,
                   struct par *p, void **state, struct solve_stats *st, struct err *e);
int factor_solve(const struct solve_opts *o, void *state, struct solve_job *j, struct par *p,
                 struct err *e);
void factor_release(void *state);

#endif
