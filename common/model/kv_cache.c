/* SPDX-License-Identifier: Apache-2.0 */
/* kv_cache - see kv_cache.h. */
#include "kv_cache.h"

#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"

struct layer {
    struct kv_layer is;
    size_t at, state_at; /* floats before it: of one slot and position, of one slot */
};

struct kv_cache {
    size_t slots, room;
    size_t *length; /* [slots] */
    struct layer *layer;
    size_t nlayers;
    float *rows;  /* of each layer [slots], of each slot keys [room, keys], values [room, values] */
    float *state; /* of each layer [slots, state] */
};

/* *width: floats of one position in all blocks; *state: of one sequence. */
static int layers_place(struct kv_cache *kv, const struct kv_layer *layer, size_t count,
                        size_t *width, size_t *state, struct err *e)
{
    if (!(kv->layer = mem_array(count ? count : 1, sizeof *kv->layer, e)))
        return -1;
    *width = *state = 0;
    for (size_t i = 0; i < count; i++) {
        kv->layer[i] = (struct layer){layer[i], *width, *state};
        *width += layer[i].keys + layer[i].values;
        *state += layer[i].state;
    }
    kv->nlayers = count;
    return 0;
}

struct kv_cache *kv_open(const struct kv_layer *layer, size_t count, size_t slots, size_t room,
                         struct err *e)
{
    struct kv_cache *kv = mem_array(1, sizeof *kv, e);
    size_t width, state, n, all;

    if (!kv)
        return NULL;
    kv->slots = slots;
    kv->room = room;
    if (layers_place(kv, layer, count, &width, &state, e) < 0)
        goto fail;
    if (mem_mul(width, slots, &n) != 0 || mem_mul(n, room, &n) != 0 ||
        mem_mul(state, slots, &all) != 0) {
        err_set(e, ERR_USE, "a cache of %zu sequences of %zu positions is too large", slots, room);
        goto fail;
    }
    kv->length = mem_array(slots, sizeof *kv->length, e);
    kv->rows = kv->length ? mem_raw(n ? n : 1, sizeof *kv->rows, e) : NULL;
    kv->state = kv->rows ? mem_array(all ? all : 1, sizeof *kv->state, e) : NULL;
    if (kv->state)
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
    free((*kv)->state);
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

    while (kv->layer[i].is.block != block)
        i++;
    return &kv->layer[i + number];
}

float *kv_keys(struct kv_cache *kv, size_t block, size_t number, size_t slot)
{
    const struct layer *l = layer_of(kv, block, number);

    return kv->rows + kv->room * (l->at * kv->slots + slot * (l->is.keys + l->is.values));
}

float *kv_values(struct kv_cache *kv, size_t block, size_t number, size_t slot)
{
    return kv_keys(kv, block, number, slot) + kv->room * layer_of(kv, block, number)->is.keys;
}

float *kv_state(struct kv_cache *kv, size_t block, size_t number, size_t slot)
{
    const struct layer *l = layer_of(kv, block, number);

    return kv->state + l->state_at * kv->slots + slot * l->is.state;
}
