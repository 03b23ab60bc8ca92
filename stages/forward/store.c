/* SPDX-License-Identifier: Apache-2.0 */
/* store - see store.h. */
#include "store.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/base/spill.h"

struct area {
    size_t bytes;
    void *data;  /* NULL: in the file */
    uint64_t at; /* its offset there */
    int written;
};

/* Of one kind, h or x. */
struct kind {
    uint64_t budget, used;
    int full;     /* an area has gone to the file: those that come go there too */
    void *loaded; /* that of the chunk which is loaded from there, largest bytes */
    size_t largest;
};

struct slot {
    struct area h, x;
};

struct store {
    struct kind h, x;
    uint64_t spilled;
    struct spill file;
    struct slot *slots;
    size_t count, cap;
};

struct store *store_open(struct store_room budget, const char *tmp_dir, struct err *e)
{
    struct store *s = mem_array(1, sizeof *s, e);

    if (!s)
        return NULL;
    s->h.budget = budget.h;
    s->x.budget = budget.x;
    s->file = (struct spill)SPILL_IN(tmp_dir);
    return s;
}

/* The room for those that are loaded is made when it is used next. */
static int to_file(struct store *s, struct kind *k, struct area *a, struct err *e)
{
    if (spill_make(&s->file, e) < 0)
        return -1;
    k->full = 1;
    a->at = s->spilled;
    s->spilled += a->bytes;
    if (a->bytes > k->largest) {
        free(k->loaded);
        k->loaded = NULL;
        k->largest = a->bytes;
    }
    return 0;
}

static int area_place(struct store *s, struct kind *k, struct area *a, struct err *e)
{
    if (k->full || a->bytes > k->budget - k->used)
        return to_file(s, k, a, e);
    if (!(a->data = mem_raw(a->bytes, 1, e)))
        return -1;
    k->used += a->bytes;
    return 0;
}

int store_add(struct store *s, size_t h_bytes, size_t x_bytes, struct err *e)
{
    struct slot *t;

    if (mem_grow((void **)&s->slots, &s->cap, s->count + 1, sizeof *s->slots, e) < 0)
        return -1;
    t = &s->slots[s->count];
    *t = (struct slot){.h.bytes = h_bytes, .x.bytes = x_bytes};
    if (area_place(s, &s->h, &t->h, e) < 0 || area_place(s, &s->x, &t->x, e) < 0) {
        free(t->h.data);
        return -1;
    }
    return (int)s->count++;
}

static int area_load(struct store *s, struct kind *k, const struct area *a, size_t bytes,
                     void **data, struct err *e)
{
    *data = a->data;
    if (a->data)
        return 0;
    if (!k->loaded && !(k->loaded = mem_raw(k->largest, 1, e)))
        return -1;
    *data = k->loaded;
    if (!a->written)
        memset(k->loaded, 0, bytes);
    return a->written && bytes ? spill_read(&s->file, k->loaded, bytes, a->at, e) : 0;
}

int store_load(struct store *s, size_t chunk, size_t x_bytes, void **h, void **x, struct err *e)
{
    const struct slot *t;

    if (chunk >= s->count || x_bytes > s->slots[chunk].x.bytes)
        return err_set(e, ERR_SYS, "store: chunk %zu with %zu bytes was never declared", chunk,
                       x_bytes);
    t = &s->slots[chunk];
    return area_load(s, &s->h, &t->h, t->h.bytes, h, e) < 0 ||
                   area_load(s, &s->x, &t->x, x_bytes, x, e) < 0
               ? -1
               : 0;
}

static int area_save(struct store *s, const struct kind *k, struct area *a, size_t bytes,
                     struct err *e)
{
    if (a->data || !bytes)
        return 0;
    if (spill_write(&s->file, k->loaded, bytes, a->at, e) < 0)
        return -1;
    a->written = 1;
    return 0;
}

int store_save(struct store *s, size_t chunk, int save_h, size_t x_bytes, struct err *e)
{
    struct slot *t = &s->slots[chunk];

    return area_save(s, &s->h, &t->h, save_h ? t->h.bytes : 0, e) < 0 ||
                   area_save(s, &s->x, &t->x, x_bytes, e) < 0
               ? -1
               : 0;
}

uint64_t store_spilled(const struct store *s)
{
    return s->spilled;
}

void store_close(struct store **sp)
{
    struct store *s = sp ? *sp : NULL;

    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++) {
        free(s->slots[i].h.data);
        free(s->slots[i].x.data);
    }
    free(s->slots);
    free(s->h.loaded);
    free(s->x.loaded);
    spill_close(&s->file);
    free(s);
    *sp = NULL;
}
