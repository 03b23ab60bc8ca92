/* SPDX-License-Identifier: Apache-2.0 */
/* rng - PCG64-style / splitmix generator with a fixed, documented sequence: the same seed gives
 * the same numbers on every machine. Streams with different `stream` numbers are independent.
 * Cannot fail; struct rng owns nothing. */
#ifndef PTQ_RNG_H
#define PTQ_RNG_H

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *r, uint64_t seed, uint64_t stream);
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* uniform in [0, n), without modulo bias; n > 0 */
double rng_unit(struct rng *r);                /* [0, 1) with 53 bits */
double rng_normal(struct rng *r);              /* mean 0, variance 1 */

#endif
