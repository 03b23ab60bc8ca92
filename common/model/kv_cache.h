/* SPDX-License-Identifier: Apache-2.0 */
/* kv_cache - keys and values of the positions that a model has been through, for a fixed number
 * of sequences ("slots").
 *
 * f32, as they came out of the products, keys rotated. Each attention of each block has rows of
 * its own width; the rows of one slot follow one another from
 * position 0. Memory that no position has reached yet is never touched.
 * With a sliding window older rows stay, unread. What goes from token to token without keys (a
 * state, the last rows of a convolution) is kept once for each sequence. */
#ifndef PTQ_KV_CACHE_H
#define PTQ_KV_CACHE_H

#include <stddef.h>
#include "../base/err.h"
#include "rows.h"

struct kv_cache;

struct kv_layer { /* what one operation keeps */
    size_t block;
    size_t keys, values; /* floats of a position */
    size_t state;        /* floats of a sequence, whatever its length */
};

/* layer [count]: by block, in each in the order of its operations; copied. room: positions of a
 * slot. For a model: model_cache(). */
struct kv_cache *kv_open(const struct kv_layer *layer, size_t count, size_t slots, size_t room,
                         struct err *e);
void kv_close(struct kv_cache **kv);
size_t kv_room(const struct kv_cache *kv);
size_t kv_length(const struct kv_cache *kv, size_t slot); /* positions that all blocks have done */
void kv_clear(struct kv_cache *kv, size_t slot);
void kv_advance(struct kv_cache *kv, const size_t *slots, const struct rows *r);
/* number: of the operation among those of its block that keep something, from 0. */
float *kv_keys(struct kv_cache *kv, size_t block, size_t number, size_t slot);
float *kv_values(struct kv_cache *kv, size_t block, size_t number, size_t slot);
/* Means nothing while kv_length is 0. */
float *kv_state(struct kv_cache *kv, size_t block, size_t number, size_t slot);

#endif
