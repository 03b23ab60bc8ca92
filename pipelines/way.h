/* SPDX-License-Identifier: Apache-2.0 */
/* way - by which processes chunks come to the forward pass of a run: from the sampler straight, or
 * through a stage that weighs their tokens and perhaps a relay that collects them. Whoever deals
 * lanes once more, or to another host, has to put the same in between. */
#ifndef PTQ_WAY_H
#define PTQ_WAY_H

#include "supervise_state.h"

struct way {
    size_t sampler;
    size_t weigher; /* the first of its stage; plan->count: there is none */
    int relayed;    /* several may weigh: what comes of them goes on through a relay */
};

/* To process i of the forward stage, or who first had its place. 1; 0: by a way that cannot be
 * gone for some lanes alone. */
int way_find(const struct supervise *s, size_t i, struct way *w);

#endif
