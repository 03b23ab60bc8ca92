/* SPDX-License-Identifier: Apache-2.0 */
/* rotation - an orthogonal matrix Q [n,n] and products of rows with it, in f64.
 *
 * random-hadamard  Q = D H / sqrt n, D a diagonal of signs drawn from the seed (QuaRot,
 *                  arXiv 2404.00456)
 * hadamard         Q = H / sqrt n
 * orthogonal       Q of the factorisation of a matrix of normal numbers (uniform over the
 *                  orthogonal group): for orders without a known Hadamard matrix; a product costs
 *                  n^2 multiplications */
#ifndef PTQ_ROTATION_H
#define PTQ_ROTATION_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../base/par.h"

enum rotation_kind { ROTATION_RANDOM_HADAMARD, ROTATION_HADAMARD, ROTATION_ORTHOGONAL };

struct rotation;

const char *rotation_name(enum rotation_kind kind);
/* par works while Q is made only. A Hadamard kind of an order that hadamard.h does not know is
 * ERR_USE. */
struct rotation *rotation_create(enum rotation_kind kind, size_t n, uint64_t seed, struct par *par,
                                 struct err *e);
void rotation_destroy(struct rotation **r);
/* Each row of x [rows, n] becomes row * Q. scratch: rows * n numbers. May be called from several
 * threads at once. */
int rotation_apply(const struct rotation *r, size_t rows, double *x, double *scratch,
                   struct err *e);

#endif
