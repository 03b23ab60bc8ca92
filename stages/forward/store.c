/* SPDX-License-Identifier: Apache-2.0 */
/* store - see store.h. */
#include "store.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/base/spill.h"

struct slot {
    size_t h_bytes, x_bytes;
    void *h, *x; /* NULL: in the file */
    uint64_t at; /* offset of h in the file; x follows */
    int written;
};

struct store {
    uint64_t budget, used, spilled;
    struct spill file;
    struct slot *slots;
    size_t count, cap;
    void *h, *x; /* the areas of the spilled chunk that is loaded */
    size_t h_max, x_max;
};

struct store *store_open(uint64_t budget, const char *tmp_dir, struct err *e)
{
    struct store *s = mem_array(1, sizeof *s, e);

    if (!s)
        return NULL;
    s->budget = budget;
    s->file = (struct spill)SPILL_IN(tmp_dir);
    return s;
}

/* It is made when it is used next. */
static void area_fit(void **area, size_t *max, size_t bytes)
{
    if (bytes <= *max)
        return;
    free(*area);
    *area = NULL;
    *max = bytes;
}

static int spill(struct store *s, struct slot *t, struct err *e)
{
    if (spill_make(&s->file, e) < 0)
        return -1;
    t->at = s->spilled;
    s->spilled += (uint64_t)t->h_bytes + t->x_bytes;
    area_fit(&s->h, &s->h_max, t->h_bytes);
    area_fit(&s->x, &s->x_max, t->x_bytes);
    return 0;
}

int store_add(struct store *s, size_t h_bytes, size_t x_bytes, struct err *e)
{
    struct slot *t;

    if (mem_grow((void **)&s->slots, &s->cap, s->count + 1, sizeof *s->slots, e) < 0)
        return -1;
    t = &s->slots[s->count];
    memset(t, 0, sizeof *t);
    t->h_bytes = h_bytes;
    t->x_bytes = x_bytes;
    if (s->spilled || (uint64_t)h_bytes + x_bytes > s->budget - s->used) {
        if (spill(s, t, e) < 0)
            return -1;
    } else {
        t->h = mem_raw(h_bytes, 1, e);
        t->x = mem_raw(x_bytes, 1, e);
        if (!t->h || !t->x) {
            free(t->h);
            free(t->x);
            return -1;
        }
        s->used += (uint64_t)h_bytes + x_bytes;
    }
    return (int)s->count++;
}

static int load_spilled(struct store *s, struct slot *t, size_t x_bytes, struct err *e)
{
    if (!s->h && !(s->h = mem_raw(s->h_max, 1, e)))
        return -1;
    if (!s->x && !(s->x = mem_raw(s->x_max, 1, e)))
        return -1;
    if (!t->written) {
        memset(s->h, 0, t->h_bytes);
        memset(s->x, 0, x_bytes);
        return 0;
    }
    if (spill_read(&s->file, s->h, t->h_bytes, t->at, e) < 0)
        return -1;
    return x_bytes ? spill_read(&s->file, s->x, x_bytes, t->at + t->h_bytes, e) : 0;
}

int store_load(struct store *s, size_t chunk, size_t x_bytes, void **h, void **x, struct err *e)
{
    struct slot *t;

    if (chunk >= s->count || x_bytes > s->slots[chunk].x_bytes)
        return err_set(e, ERR_SYS, "store: chunk %zu with %zu bytes was never declared", chunk,
                       x_bytes);
    t = &s->slots[chunk];
    if (t->h) {
        *h = t->h;
        *x = t->x;
        return 0;
    }
    if (load_spilled(s, t, x_bytes, e) < 0)
        return -1;
    *h = s->h;
    *x = s->x;
    return 0;
}

int store_save(struct store *s, size_t chunk, int save_h, size_t x_bytes, struct err *e)
{
    struct slot *t = &s->slots[chunk];
    int rc = 0;

    if (t->h)
        return 0;
    if (save_h || !t->written)
        rc = spill_write(&s->file, s->h, t->h_bytes, t->at, e);
    if (rc == 0 && x_bytes)
        rc = spill_write(&s->file, s->x, x_bytes, t->at + t->h_bytes, e);
    t->written = t->written || rc == 0;
    return rc;
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
        free(s->slots[i].h);
        free(s->slots[i].x);
    }
    free(s->slots);
    free(s->h);
    free(s->x);
    spill_close(&s->file);
    free(s);
    *sp = NULL;
}
