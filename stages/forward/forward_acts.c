/* SPDX-License-Identifier: Apache-2.0 */
/* forward_acts - see forward_acts.h. */
#include "forward_acts.h"

#include <stdio.h>
#include "forward_rows.h"

struct acts_view forward_acts(const struct forward *f, size_t i, const struct site *s)
{
    const struct chunk_view *v = &f->held[i].view;
    struct acts_view a = {.block = s->block,
                          .order = s->order,
                          .sites = f->sites->count,
                          .site = s->name,
                          .chunk = v->chunk,
                          .chunks = v->chunks,
                          .lane = v->lane,
                          .lanes = v->lanes,
                          .lane_first = v->lane * v->chunks / v->lanes,
                          .T = v->T,
                          .K = s->inputs,
                          .nseq = v->nseq,
                          .w = f->held[i].w ? f->held[i].w : v->weights,
                          .modality = v->modality,
                          .lengths = v->lengths};

    a.lane_count = (v->lane + 1) * v->chunks / v->lanes - a.lane_first;
    a.expert = f->o.expert;
    a.expert.known = s->expert >= 0;
    return a;
}

void forward_acts_part(struct acts_view *a, const struct site_part *part)
{
    a->T = part->T;
    a->nseq = part->nseq;
    a->lengths = part->lengths;
    a->w = part->w;
    a->modality = part->modality;
}

struct msg *forward_acts_message(const struct forward *f, size_t i, const struct acts_view *a,
                                 void *x[2], struct err *e)
{
    struct msg *m = acts_write(a, f->o.acts, &x[0], f->ways > 1 ? &x[1] : NULL, "forward", e);

    if (!m)
        return NULL;
    snprintf(m->run, sizeof m->run, "%s", f->run);
    if (rows_hand_on(f->held[i].msg, m, e) < 0)
        msg_destroy(&m);
    return m;
}
