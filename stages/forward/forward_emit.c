/* SPDX-License-Identifier: Apache-2.0 */
/* forward_emit - see forward_emit.h. */
#include "forward_emit.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "forward_acts.h"
#include "forward_images.h"
#include "forward_rows.h"
#include "forward_site.h"

/* ---- what experts may get ---- */

static int may_send_all(const struct forward *f)
{
    return f->o.expert.every || f->o.expert.starved == STARVED_ALL_TOKENS;
}

static size_t number_in_block(const struct forward *f, const struct site *s)
{
    return s->order - f->sites->first[s->block];
}

int emit_room(struct forward *f, struct err *e)
{
    size_t widest = 0, n;

    for (size_t i = 0; may_send_all(f) && i < f->sites->count; i++)
        if (f->sites->site[i].expert >= 0 && f->sites->site[i].inputs > widest)
            widest = f->sites->site[i].inputs;
    if (!widest)
        return 0;
    if (mem_mul(f->t_max, widest * dtype_size(f->o.acts), &n) < 0)
        return err_set(e, ERR_USE, "a chunk of %zu tokens is too large", f->t_max);
    free(f->gathered);
    return (f->gathered = mem_raw(n, 1, e)) ? 0 : -1;
}

/* The number in its block of the first site of an expert; SIZE_MAX: there is none, or nobody
 * asks. */
static size_t expert_among(const struct forward *f, const struct site *s, size_t count)
{
    for (size_t k = 0; may_send_all(f) && k < count; k++)
        if (s[k].expert >= 0)
            return number_in_block(f, &s[k]);
    return SIZE_MAX;
}

static int take(struct forward *f, size_t i, size_t site, size_t stop, const void *kept,
                struct err *e)
{
    const struct rows r = held_rows(&f->held[i]);

    return block_gathered(f->way[0].block, site, stop, &r, f->o.acts, kept, f->gathered, e);
}

int emit_gather_before(struct forward *f, size_t i, const struct site *s, size_t count,
                       const void *kept, struct err *e)
{
    const size_t site = expert_among(f, s, count);

    return site == SIZE_MAX || block_gathered_at(f->way[0].block, site, s->stop)
               ? 0
               : take(f, i, site, s->stop - 1, kept, e);
}

int emit_gather(struct forward *f, size_t i, const struct site *s, size_t count, const void *kept,
                struct err *e)
{
    const size_t site = expert_among(f, s, count);

    return site != SIZE_MAX && block_gathered_at(f->way[0].block, site, s->stop)
               ? take(f, i, site, s->stop, kept, e)
               : 0;
}

/* ---- a message ---- */

/* Every token, and which of them the router sent. */
static uint8_t *mark_routed(const struct block_rows *b, size_t T, struct err *e)
{
    uint8_t *routed = mem_array(T, 1, e);

    for (size_t k = 0; routed && k < b->count; k++)
        routed[b->token[k]] = 1;
    return routed;
}

static int emit_all(struct forward *f, size_t i, const struct site *s, const struct block_rows *b,
                    struct acts_view *a, const struct forward_io *io, struct err *e)
{
    const struct rows r = held_rows(&f->held[i]);
    uint8_t *routed = mark_routed(b, r.T, e);
    void *x[2] = {NULL, NULL};
    struct msg *m = NULL;
    int rc = -1;

    a->routed = routed;
    if (routed && (m = forward_acts_message(f, i, a, x, e)) &&
        block_every_row(f->way[0].block, number_in_block(f, s), &r, f->o.acts, f->gathered, x[0],
                        e) == 0)
        rc = io->emit(io->ctx, &m, e);
    msg_destroy(&m);
    free(routed);
    return rc;
}

/* The tensor whose data the caller of acts_write got. */
static struct tensor *tensor_of(struct msg *m, const void *data)
{
    size_t i = 0;

    while (m->tensors[i].data != data)
        i++;
    return &m->tensors[i];
}

/* The rows that stand in what each way keeps. */
static int emit_kept(struct forward *f, size_t i, const struct site *s, const struct block_rows *b,
                     const struct acts_view *a, char *const kept[2], const struct forward_io *io,
                     struct err *e)
{
    const size_t row = s->inputs * dtype_size(f->o.acts);
    void *x[2] = {NULL, NULL};
    struct msg *m = forward_acts_message(f, i, a, x, e);
    int rc;

    if (!m)
        return -1;
    for (int w = 0; w < f->ways; w++) {
        if (b->count)
            tensor_copy_in(tensor_of(m, x[w]), kept[w] + b->kept);
        else
            memset(x[w], 0, row);
    }
    if (a->chunk == 0 && !b->token)
        first_look(&f->first, s, a, f->o.acts, x[0]);
    rc = io->emit(io->ctx, &m, e);
    msg_destroy(&m);
    return rc;
}

int emit_site(struct forward *f, size_t i, const struct site *s, char *const kept[2],
              const struct forward_io *io, struct err *e)
{
    const struct rows r = held_rows(&f->held[i]);
    struct acts_view a = forward_acts(f, i, s);
    struct site_part part = {0};
    struct block_rows b;
    const float *w;
    int rc = -1;

    if (block_site_rows(f->way[0].block, number_in_block(f, s), &r, f->o.acts, &b, e) < 0)
        return -1;
    a.w = w = rows_weigh(&f->held[i].view, s, a.w, f->site_w);
    if (b.token && (f->o.expert.every || (may_send_all(f) && b.count < f->o.expert.below)))
        return emit_all(f, i, s, &b, &a, io, e);
    if (b.token) {
        if (site_part_make(&part, &b, &r, a.w, a.modality, e) < 0)
            goto out;
        forward_acts_part(&a, &part);
    }
    rc = emit_kept(f, i, s, &b, &a, kept, io, e);
    if (rc == 0 && f->o.images_apart)
        rc = forward_images_emit(f, i, s, &b, w, kept, io, e);
out:
    site_part_release(&part);
    return rc;
}

/* ---- a stop ---- */

int emit_weights(struct forward *f, uint64_t from, const struct forward_io *io, struct err *e)
{
    for (size_t k = 0; k < f->stop_count && f->held[0].view.chunk == 0; k++)
        if (f->stop[k].order >= f->o.from_site && f->stop[k].order >= from &&
            site_emit_weights(f->model, &f->stop[k], f->sites->count, &f->held[0].view, f->prov,
                              f->run, io, e) < 0)
            return -1;
    return 0;
}

int emit_can_again(const struct forward *f)
{
    return expert_among(f, f->stop, f->stop_count) == SIZE_MAX;
}

int emit_chunk_again(struct forward *f, size_t i, uint64_t from, const struct forward_io *io,
                     struct err *e)
{
    const struct rows r = held_rows(&f->held[i]);
    const struct site *s = f->stop;
    char *kept[2] = {NULL, NULL};
    void *h, *x;

    for (int w = 0; w < f->ways; w++) {
        const size_t bytes = block_kept(f->way[w].block, s->stop, r.T, f->o.acts);

        if (store_load(f->way[w].store, f->held[i].place, bytes, &h, &x, e) < 0)
            return -1;
        kept[w] = x;
    }
    /* the block knows the chunk that ran last, and its experts' rows */
    if (block_recall(f->way[0].block, s->stop, &r, f->o.acts, kept[0], e) < 0)
        return -1;
    for (size_t k = 0; k < f->stop_count; k++)
        if (s[k].order >= from && emit_site(f, i, &s[k], kept, io, e) < 0)
            return -1;
    return 0;
}

int emit_again(struct forward *f, uint64_t from, const struct forward_io *io, struct err *e)
{
    const struct site *s = f->stop;

    if (!s || s->order < f->o.from_site)
        return 0;
    if (emit_weights(f, from, io, e) < 0)
        return -1;
    for (size_t i = 0; i < f->count; i++)
        if (held_place(&f->held[i], s) <= 0 && emit_chunk_again(f, i, from, io, e) < 0)
            return -1;
    return 0;
}
