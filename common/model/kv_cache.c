/* SPDX-License-Identifier: Apache-2.0 */
/* kv_cache - see kv_cache.h. */
#include "kv_cache.h"

#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"

struct layer { /* of one attention */
    size_t block, width;
    size_t at; /* floats of one slot and position before it */
};

struct kv_cache {
    size_t slots, room;
    size_t *length; /* [slots] */
    struct layer *layer;
    size_t nlayers;
    float *rows; /* of each layer [slots, 2, room, width] */
};

/* *width: floats of keys of one position in all blocks. */
static int layers_place(struct kv_cache *kv, const struct kv_layer *layer, size_t count,
                        size_t *width, struct err *e)
{
    if (!(kv->layer = mem_array(count ? count : 1, sizeof *kv->layer, e)))
        return -1;
    *width = 0;
    for (size_t i = 0; i < count; i++) {
        kv->layer[i] = (struct layer){layer[i].block, layer[i].width, *width};
        *width += layer[i].width;
    }
    kv->nlayers = count;
    return 0;
}

struct kv_cache *kv_open(const struct kv_layer *layer, size_t count, size_t slots, size_t room,
                         struct err *e)
{
    struct kv_cache *kv = mem_array(1, sizeof *kv, e);
    size_t width, n;

    if (!kv)
        return NULL;
    kv->slots = slots;
    kv->room = room;
    if (layers_place(kv, layer, count, &width, e) < 0)
        goto fail;
    if (mem_mul(2 * width, slots, &n) != 0 || mem_mul(n, room, &n) != 0) {
        err_set(e, ERR_USE, "a cache of %zu sequences of %zu positions is too large", slots, room);
        goto fail;
    }
    kv->length = mem_array(slots, sizeof *kv->length, e);
    kv->rows = kv->length ? mem_raw(n ? n : 1, sizeof *kv->rows, e) : NULL;
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
    free((*kv)->layer);
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

static const struct layer *layer_of(const struct kv_cache *kv, size_t block, size_t number)
{
    size_t i = 0;

    while (kv->layer[i].block != block)
        i++;
    return &kv->layer[i + number];
}

float *kv_keys(struct kv_cache *kv, size_t block, size_t number, size_t slot)
{
    const struct layer *l = layer_of(kv, block, number);

    return kv->rows + 2 * kv->room * (l->at * kv->slots + slot * l->width);
}

float *kv_values(struct kv_cache *kv, size_t block, size_t number, size_t slot)
{
    return kv_keys(kv, block, number, slot) + kv->room * layer_of(kv, block, number)->width;
}
