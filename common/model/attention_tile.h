/* SPDX-License-Identifier: Apache-2.0 */
/* attention_tile - attention of 16 queries, a lane each, to some keys that follow each other: the
 * scores, their softmax as far as it is known by then, the product with the values. All of it
 * stays in the nearest cache. A lane's numbers depend on its query, and on keys and values in
 * their order, not on the other lanes. Single-threaded; f32. Written once, compiled for AVX-512,
 * AVX2 and the base instruction set, which is chosen at run time; the first two give the same
 * bits. Everything is borrowed. */
#ifndef PTQ_ATTENTION_TILE_H
#define PTQ_ATTENTION_TILE_H

#include <stddef.h>
#include <stdint.h>

enum { ATTENTION_LANES = 16, ATTENTION_KEYS = 96 };
#define ATTENTION_UNSEEN (-3e38f) /* the score of a key that a lane does not see */
#define ATTENTION_LOG2_E 1.44269504f
/* Floats that attention_tile needs beside the tile. */
#define ATTENTION_TILE_ROOM ((ATTENTION_KEYS + 1) * ATTENTION_LANES)

struct attention_tile {
    size_t head_dim, value_dim, ldk, ldv;
    const float *q;            /* [head_dim][LANES], times scale, and log2(e) without a cap */
    float *x;                  /* [value_dim][LANES] so far, to be divided by sum at the end */
    float *most, *sum;         /* [LANES] of the scores, times log2(e), and of the weights so far */
    const int32_t *low, *high; /* [LANES] the keys that a lane sees: [low, high) */
    float cap;                 /* the scores become cap tanh(score / cap); 0: none */
    /* the keys: `keys` of them, at most ATTENTION_KEYS, the first one is number `first`. masked: 0
     * where every lane sees all of them */
    const float *k, *v;
    size_t first, keys;
    int masked;
};

/* What it takes to begin: x 0, most ATTENTION_UNSEEN and sum 0; or, with a score beside those of
 * the keys, most that score times log2(e) and sum 1. */
void attention_tile(const struct attention_tile *t, float *room);

#endif
