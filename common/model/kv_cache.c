/* SPDX-License-Identifier: Apache-2.0 */
/* kv_cache - see kv_cache.h. */
#include "kv_cache.h"

#include <stdlib.h>
#include "../base/mem.h"

struct kv_cache {
    size_t slots, room, width; /* width: floats of a row */
    size_t *length;            /* [slots] */
    float *rows;               /* [layers, slots, 2, room, width] */
};

struct kv_cache *kv_open(const struct config *c, size_t slots, size_t room, struct err *e)
{
    struct kv_cache *kv = mem_array(1, sizeof *kv, e);
    size_t n;

    if (!kv)
        return NULL;
    kv->slots = slots;
    kv->room = room;
    kv->width = c->kv_heads * c->head_dim;
    if (mem_mul(2 * c->layers * kv->width, slots, &n) != 0 || mem_mul(n, room, &n) != 0) {
        err_set(e, ERR_USE, "a cache of %zu sequences of %zu positions is too large", slots, room);
        goto fail;
    }
    kv->length = mem_array(slots, sizeof *kv->length, e);
    kv->rows = kv->length ? mem_raw(n, sizeof *kv->rows, e) : NULL;
    if (kv->rows)
        return kv;
fail:
    kv_close(&kv);
    return NULL;
}

void kv_close(struct kv_cache **kv)
{
    if (!kv || !*kv)
        return;
    free((*kv)->length);
    free((*kv)->rows);
    free(*kv);
    *kv = NULL;
}

size_t kv_room(const struct kv_cache *kv)
{
    return kv->room;
}

size_t kv_length(const struct kv_cache *kv, size_t slot)
{
    return kv->length[slot];
}

void kv_clear(struct kv_cache *kv, size_t slot)
{
    kv->length[slot] = 0;
}

void kv_advance(struct kv_cache *kv, const size_t *slots, const struct rows *r)
{
    for (size_t s = 0; s < r->nseq; s++)
        kv->length[slots[s]] += (size_t)r->lengths[s];
}

float *kv_keys(struct kv_cache *kv, size_t block, size_t slot)
{
    return kv->rows + (block * kv->slots + slot) * 2 * kv->room * kv->width;
}

float *kv_values(struct kv_cache *kv, size_t block, size_t slot)
{
    return kv_keys(kv, block, slot) + kv->room * kv->width;
}
