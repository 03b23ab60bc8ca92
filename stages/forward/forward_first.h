/* SPDX-License-Identifier: Apache-2.0 */
/* forward_first - does the first token of the rows hold nearly all of what comes into a site? In
 * models whose attention rests on it it does, behind one MLP or another, and how many rows begin,
 * and what their first tokens weigh, then decides much of what a solver does there
 * (ops/studies/lengths.md). Private to the stage. */
#ifndef PTQ_FORWARD_FIRST_H
#define PTQ_FORWARD_FIRST_H

#include "../../common/model/sites.h"
#include "../../common/wire/msg_chunk.h"

#define FIRST_MUCH .9 /* of the energy: worth a word */

struct first_found {
    uint64_t block;
    char site[48];
    double energy; /* share of the weighted squares that first tokens hold; 0: nothing was seen */
    double weight; /* and of the weights */
};

/* x: the rows of one chunk at a site, as *a describes them. The site where they hold most stays. */
void first_look(struct first_found *f, const struct site *s, const struct acts_view *a,
                enum dtype type, const void *x);

#endif
