/* SPDX-License-Identifier: Apache-2.0 */
/* hadamard - Hadamard matrices (entries 1 and -1, H H' = n I) of any order n = m 2^k for which m
 * has a construction of Paley's, made when they are asked for, and the product of rows with
 * them: additions only, exact for integers.
 *
 * H = C x S with S the Sylvester matrix of order 2^k (fast Walsh-Hadamard transform) and C the
 * core of the smallest order m: 1, q + 1 for a prime power q = 3 mod 4 (Paley I), or 2(q + 1)
 * for a prime power q = 1 mod 4 (Paley II). R. E. A. C. Paley, "On orthogonal matrices", 1933.
 * Left out: orders that need other constructions (92, 116, 156, 172, ...); of the multiples of
 * 64 up to 4608 only 3776 has none here. A product of a row of n numbers costs n (k + m)
 * additions. */
#ifndef PTQ_HADAMARD_H
#define PTQ_HADAMARD_H

#include <stddef.h>
#include "../base/err.h"

struct hadamard;

#define HADAMARD_ORDER_MAX ((size_t)1 << 24)

/* Order of the core that would be used for n; 0 when none is known here. */
size_t hadamard_core(size_t n);
/* ERR_USE when there is none. */
struct hadamard *hadamard_create(size_t n, struct err *e);
void hadamard_destroy(struct hadamard **h);
/* Each row of x [rows, n] becomes row * H (not divided by sqrt n). scratch: n numbers. */
void hadamard_apply(const struct hadamard *h, size_t rows, double *x, double *scratch);

#endif
