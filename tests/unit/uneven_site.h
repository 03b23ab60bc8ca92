/* SPDX-License-Identifier: Apache-2.0 */
/* uneven_site - a made-up linear and the rows that reach it, for tests of solvers: small weights,
 * inputs that are correlated, channels that differ in size by up to 13 times. */
#ifndef PTQ_TEST_UNEVEN_SITE_H
#define PTQ_TEST_UNEVEN_SITE_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/rng.h"

/* W [N, K], x [T, K]. */
static inline void uneven_site(uint64_t seed, size_t N, size_t K, size_t T, float *W, double *x)
{
    struct rng r;

    rng_seed(&r, seed, 0);
    for (size_t i = 0; i < N * K; i++)
        W[i] = (float)(0.05 * rng_normal(&r));
    for (size_t t = 0; t < T; t++) {
        const double common = rng_normal(&r);

        for (size_t k = 0; k < K; k++)
            x[t * K + k] = (rng_normal(&r) + common) * (1.0 + (double)(k * 7 % 13));
    }
}

#endif
