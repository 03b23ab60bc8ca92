/* SPDX-License-Identifier: Apache-2.0 */
/* attention16 - attention_tile with products of bf16: queries, keys, values and the weights of the
 * softmax are rounded to it, sums and the softmax are f32. For CPUs that have such products: by
 * tiles (AMX), or by dot products of pairs (AVX512-BF16). A lane's numbers depend on its query,
 * and on keys and values in their order, not on the other lanes. Single-threaded. Everything is
 * borrowed. */
#ifndef PTQ_ATTENTION16_H
#define PTQ_ATTENTION16_H

#include <stddef.h>
#include <stdint.h>
#include "attention_tile.h"

/* Numbers of a head as they are multiplied: the ones past its end are 0. */
static inline size_t attention16_head(size_t head_dim)
{
    return (head_dim + 31) / 32 * 32;
}
static inline size_t attention16_values(size_t value_dim)
{
    return (value_dim + 15) / 16 * 16;
}

/* The keys and values of a block of ATTENTION_KEYS, in bf16: keys [KEYS][head], then values
 * [values][KEYS]. Those past the last key are 0. */
static inline size_t attention16_block(size_t head_dim, size_t value_dim)
{
    return ATTENTION_KEYS * (attention16_head(head_dim) + attention16_values(value_dim));
}
/* count rows, ldk and ldv floats apart, into to [attention16_block]. */
void attention16_pack(size_t head_dim, size_t value_dim, size_t count, const float *k, size_t ldk,
                      const float *v, size_t ldv, uint16_t *to);
/* q [head_dim][LANES] f32, with room for [attention16_head] rows, becomes pairs of bf16: word
 * [r][lane] has numbers 2r and 2r + 1 of the lane's query. */
void attention16_queries(size_t head_dim, float *q);

/* As struct attention_tile, but q and the block are as above, and x has attention16_values rows. */
struct attention16_tile {
    size_t head_dim, value_dim;
    const uint32_t *q;
    const uint16_t *block;
    float *x, *most, *sum;
    const int32_t *low, *high;
    float cap;
    size_t first, keys;
    int masked;
};
/* Floats that a tile needs beside itself. */
#define ATTENTION16_ROOM ((ATTENTION_KEYS + ATTENTION_KEYS / 2 + 1) * ATTENTION_LANES)

struct attention16 {
    const char *name;
    /* Around all tiles that a thread does in a row. */
    void (*begin)(void);
    void (*end)(void);
    void (*tile)(const struct attention16_tile *t, float *room);
};
/* What this CPU can do, the fastest first; NULL past the last one. */
const struct attention16 *attention16_nth(size_t i);

#endif
