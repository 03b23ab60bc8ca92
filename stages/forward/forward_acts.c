/* SPDX-License-Identifier: Apache-2.0 */
/* forward_acts - see forward_acts.h. */
#include "forward_acts.h"

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
