/* SPDX-License-Identifier: Apache-2.0 */
/* cause - which of the processes that ended badly is to blame: when one fails its neighbours fail
 * too, and may be seen to end first. */
#ifndef PTQ_CAUSE_H
#define PTQ_CAUSE_H

#include "supervise_state.h"

/* The likeliest; NULL: none. Once the run is stopping only the first `ended` to end count. */
const struct child *cause_first(const struct supervise *s, size_t ended);
/* 1: it only heard of a neighbour's failure; c may be NULL. */
int cause_is_echo(const struct child *c);

#endif
