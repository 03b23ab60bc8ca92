/* SPDX-License-Identifier: Apache-2.0 */
/* forward_begin - see forward_begin.h. */
#include "forward_begin.h"

#include <stdlib.h>

#include "../../common/base/mem.h"
#include "forward_emit.h"
#include "forward_impl.h"

#define LARGER 2 /* than the first chunk the others are at most, or it is not begun with them */

/* Of the bytes in memory. */
static struct store_room room_within(uint64_t share, struct forward_row row, uint64_t tokens,
                                     uint64_t largest)
{
    const uint64_t all = row.h + row.x;

    if (all * tokens <= share)
        return (struct store_room){share / all * row.h, share / all * row.x};
    if (row.h * tokens + row.x * largest <= share)
        return (struct store_room){row.h * tokens, share - row.h * tokens - row.x * largest};
    return (struct store_room){share > all * largest ? share - all * largest : 0, 0};
}

struct forward_mem forward_mem_of(const struct forward_opts *o, uint64_t features)
{
    return (struct forward_mem){o->mem > features ? o->mem - features : 0, o->mem_rows};
}

struct store_room forward_budget(struct forward_mem mem, uint64_t ways, struct forward_row row,
                                 uint64_t tokens, uint64_t largest)
{
    struct store_room room = room_within(mem.all / ways, row, tokens, largest);

    if (room.x > mem.rows / ways)
        room.x = mem.rows / ways;
    return room;
}

static struct forward_row row_of(const struct forward *f)
{
    return (struct forward_row){config_row(f->c) * sizeof(float), f->kept};
}

/* Bytes of a token in a store. */
static uint64_t row_bytes(const struct forward *f)
{
    return row_of(f).h + row_of(f).x;
}

int forward_may_begin(const struct forward *f)
{
    const struct chunk_view *v = f->count ? &f->held[0].view : NULL;

    if (!v || f->sites->tower || f->c->vision || f->o.state || f->o.from_site)
        return 0;
    return v->chunks <= f->o.mem / (uint64_t)f->ways / row_bytes(f) / (v->T * LARGER);
}

int begin_stores(struct forward *f, struct err *e)
{
    const struct forward_mem mem = forward_mem_of(&f->o, held_features(f->held, f->count));
    size_t largest = 0;

    for (size_t i = 0; i < f->count; i++)
        if (f->held[i].view.T > largest)
            largest = f->held[i].view.T;
    for (int w = 0; w < f->ways; w++)
        if (!(f->way[w].store =
                  store_open(forward_budget(mem, (uint64_t)f->ways, row_of(f), f->tokens, largest),
                             f->o.tmp, e)))
            return -1;
    return 0;
}

int begin_embed(struct forward *f, struct way *w, size_t i, struct err *e)
{
    const struct chunk_view *v = &f->held[i].view;
    const size_t place = f->held[i].place;
    void *h, *x;

    if (store_load(w->store, place, 0, &h, &x, e) < 0 ||
        model_embed(f->model, v->ids, v->T, h, e) < 0)
        return -1;
    seen_embed(&f->held[i].seen, v->T, h);
    return store_save(w->store, place, 1, 0, e);
}

/* Of buffers for the rows of a chunk. */
static int room_for(struct forward *f, size_t T, struct err *e)
{
    size_t n;

    if (T <= f->t_max)
        return 0;
    if (mem_mul(T, row_bytes(f), &n) < 0)
        return err_set(e, ERR_USE, "a chunk of %zu tokens is too large", T);
    f->t_max = T;
    free(f->site_w);
    return (f->site_w = mem_raw(T, sizeof *f->site_w, e)) ? emit_room(f, e) : -1;
}

static int place_give(struct forward *f, size_t i, struct err *e)
{
    struct held *c = &f->held[i];
    const size_t T = c->view.T;

    if (room_for(f, T, e) < 0)
        return -1;
    for (int w = 0; w < f->ways; w++) {
        const int place =
            store_add(f->way[w].store, T * config_row(f->c) * sizeof(float), T * f->kept, e);

        if (place < 0)
            return -1;
        c->place = (size_t)place;
    }
    c->begun = 1;
    return 0;
}

int begin_chunk(struct forward *f, size_t i, struct err *e)
{
    if (place_give(f, i, e) < 0)
        return -1;
    for (int w = 0; w < f->ways; w++)
        if (begin_embed(f, &f->way[w], i, e) < 0)
            return -1;
    return 0;
}

int begin_all(struct forward *f, struct err *e)
{
    for (size_t i = 0; i < f->count; i++)
        if (begin_chunk(f, i, e) < 0)
            return -1;
    return 0;
}
