/* SPDX-License-Identifier: Apache-2.0 */
/* msg_expert - what acts and partials of an expert's site say beside their rows: whose rows are
 * summed, and what becomes of an expert that too few tokens are sent to. */
#ifndef PTQ_MSG_EXPERT_H
#define PTQ_MSG_EXPERT_H

#include "msg.h"

#define EXPERT_BELOW 16 /* where nothing is said */
#define EXPERT_BELOW_MAX 1000000000

enum expert_starved { STARVED_RTN, STARVED_ALL_TOKENS };

struct msg_expert {
    int known; /* 0: the site is of no expert, or nothing is said of it */
    int every; /* its sums are those of all tokens; 0: of those that its router sends there */
    /* fewer rows than `below`: it is rounded to nearest, or its sums are those of all tokens */
    enum expert_starved starved;
    uint64_t below;
};

/* Field "expert"; absent: *x is not known. */
int expert_read(const struct msg *m, struct msg_expert *x, struct err *e);
int expert_put(struct msg *m, const struct msg_expert *x); /* nothing where it is not known */
int expert_same(const struct msg_expert *a, const struct msg_expert *b);
const char *expert_starved_name(enum expert_starved s);

#endif
