/* SPDX-License-Identifier: Apache-2.0 */
/* rng - xoshiro256** (Blackman, Vigna: "Scrambled linear pseudorandom number generators", 2021),
 * its state filled by splitmix64 from seed and stream. Integers only up to rng_unit; rng_normal
 * is rounded to f32 precision, because the last bit of libm's logarithm may differ between
 * machines. */
#include "rng.h"

#include <math.h>

static uint64_t mix(uint64_t *x)
{
    uint64_t z = *x += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint64_t turn(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void rng_seed(struct rng *r, uint64_t seed, uint64_t stream)
{
    uint64_t a = seed, b = stream ^ 0x6a09e667f3bcc909u, x;

    x = mix(&a);
    x += turn(mix(&b), 17);
    for (int i = 0; i < 4; i++)
        r->s[i] = mix(&x);
    if (!(r->s[0] | r->s[1] | r->s[2] | r->s[3]))
        r->s[0] = 1; /* all zero is the one state it never leaves */
}

uint64_t rng_next(struct rng *r)
{
    uint64_t *s = r->s, out = turn(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = turn(s[3], 45);
    return out;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    uint64_t unfair = (0 - n) % n, x; /* 2^64 mod n values at the bottom are drawn again */

    do
        x = rng_next(r);
    while (x < unfair);
    return x % n;
}

double rng_unit(struct rng *r)
{
    return (double)(rng_next(r) >> 11) * 0x1p-53;
}

double rng_normal(struct rng *r)
{
    double u, v, q;

    /* Marsaglia's polar method; the second number is not kept, so that the state is all there is */
    do {
        u = 2 * rng_unit(r) - 1;
        v = 2 * rng_unit(r) - 1;
        q = u * u + v * v;
    } while (q >= 1 || q <= 0);
    return (double)(float)(u * sqrt(-2 * log(q) / q));
}
