/* SPDX-License-Identifier: Apache-2.0 */
/* forward_tower - see forward_tower.h. */
#include "forward_tower.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "forward_acts.h"
#include "forward_site.h"

/* The rows of chunk i in a block, and what they are; NULL: it has no pictures. */
static float *stream_of(struct forward *f, size_t i, size_t block, const struct rows **r)
{
    struct sight *s = seen_sight(&f->held[i].seen);

    return s ? sight_stream(s, block, r) : NULL;
}

/* What the message of a site says of its rows; r NULL: there are none. */
static int part_make(struct site_part *p, const struct rows *r, int by_modality, struct err *e)
{
    memset(p, 0, sizeof *p);
    p->T = r ? r->T : 1;
    p->nseq = r ? r->nseq : 1;
    if (!(p->lengths = mem_array(p->nseq, sizeof *p->lengths, e)) ||
        !(p->w = mem_array(p->T, sizeof *p->w, e)) ||
        (by_modality && !(p->modality = mem_array(p->T, sizeof *p->modality, e))))
        return -1;
    if (r)
        memcpy(p->lengths, r->lengths, p->nseq * sizeof *p->lengths);
    else
        p->lengths[0] = 1;
    for (size_t t = 0; t < p->T; t++) {
        p->w[t] = r ? 1 : 0;
        if (p->modality)
            p->modality[t] = MODALITY_IMAGE;
    }
    return 0;
}

static int emit(struct forward *f, size_t i, const struct site *s, const struct rows *r,
                const char *kept, const struct forward_io *io, struct err *e)
{
    const size_t row = s->inputs * dtype_size(f->o.acts);
    struct acts_view a = forward_acts(f, i, s);
    struct site_part part;
    struct block_rows b = {.kept = 0};
    void *x[2] = {NULL, NULL};
    struct msg *m = NULL;
    int rc = part_make(&part, r, a.modality != NULL, e);

    if (rc == 0 && r)
        rc = block_site_rows(f->way[0].block, s->order - f->sites->first[s->block], r, f->o.acts,
                             &b, e);
    if (rc == 0) {
        forward_acts_part(&a, &part);
        rc = (m = forward_acts_message(f, i, &a, x, e)) ? 0 : -1;
    }
    if (rc == 0) {
        if (r)
            memcpy(x[0], kept + b.kept, b.count * row);
        else
            memset(x[0], 0, row);
        rc = io->emit(io->ctx, &m, e);
    }
    msg_destroy(&m);
    site_part_release(&part);
    return rc;
}

/* The room for what a stop keeps, which may be more than the one before. */
static int keep(struct forward *f, struct held *c, size_t stop, const struct rows *r, struct err *e)
{
    const size_t bytes = block_kept(f->way[0].block, stop, r->T, f->o.acts);

    if (bytes > c->kept_room) {
        free(c->kept);
        c->kept_room = 0;
        if (!(c->kept = mem_raw(bytes, 1, e)))
            return -1;
        c->kept_room = bytes;
    }
    block_keep(f->way[0].block, stop, r, f->o.acts, c->kept);
    return 0;
}

int tower_stop(struct forward *f, size_t i, const struct site *s, size_t count,
               const struct forward_io *io, struct err *e)
{
    struct held *c = &f->held[i];
    const struct rows *r = NULL;
    float *x = stream_of(f, i, s->block - f->c->layers, &r);

    if (x && (block_step(f->way[0].block, s->stop, r, x, f->o.acts, c->kept, e) < 0 ||
              keep(f, c, s->stop, r, e) < 0))
        return -1;
    for (size_t k = 0; k < count && s->order >= f->o.from_site; k++)
        if (emit(f, i, &s[k], r, c->kept, io, e) < 0)
            return -1;
    return 0;
}

int tower_finish(struct forward *f, size_t i, size_t block, struct err *e)
{
    const struct rows *r = NULL;
    float *x = stream_of(f, i, block, &r);

    if (!x)
        return 0;
    return block_step(f->way[0].block, block_stops(f->way[0].block), r, x, f->o.acts,
                      f->held[i].kept, e) < 0
               ? -1
               : sight_behind(seen_sight(&f->held[i].seen), block, e);
}

int tower_join(struct forward *f, struct err *e)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->held[i].kept);
        f->held[i].kept = NULL;
        f->held[i].kept_room = 0;
        if (seen_join(&f->held[i].seen, e) < 0)
            return err_prefix(e, "chunk %llu", (unsigned long long)f->held[i].view.chunk);
    }
    return 0;
}
