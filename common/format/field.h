/* SPDX-License-Identifier: Apache-2.0 */
/* field - numbers of b bits one after the other, lowest bit first, in a stream of 32-bit words; one
 * may straddle two words. The words must be zero before the first put. */
#ifndef PTQ_FIELD_H
#define PTQ_FIELD_H

#include <stddef.h>
#include <stdint.h>

/* Words that n numbers take. */
static inline size_t field_words(size_t n, int bits)
{
    return (n * (size_t)bits + 31) / 32;
}

static inline void field_put(uint32_t *words, size_t i, int bits, uint32_t value)
{
    size_t bit = i * (size_t)bits;
    uint32_t *word = words + bit / 32;
    unsigned shift = (unsigned)(bit % 32);

    *word |= value << shift;
    if (shift + (unsigned)bits > 32)
        word[1] |= value >> (32 - shift);
}

static inline uint32_t field_get(const uint32_t *words, size_t i, int bits)
{
    size_t bit = i * (size_t)bits;
    const uint32_t *word = words + bit / 32;
    unsigned shift = (unsigned)(bit % 32);
    uint32_t value = *word >> shift;

    if (shift + (unsigned)bits > 32)
        value |= word[1] << (32 - shift);
    return value & ((1u << bits) - 1);
}

#endif
