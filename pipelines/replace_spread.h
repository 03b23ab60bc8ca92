/* SPDX-License-Identifier: Apache-2.0 */
/* replace_spread - several reducers that share the sites, with the two processes that hand rows to
 * each and collect their problems, as in sharded.pipe. What was on its way between them is lost
 * with any of them, so they are replaced together, and the workers send the rows of the open sites
 * to all of them again. Of a dense model one site is open at a time: nobody else had sums. */
#ifndef PTQ_REPLACE_SPREAD_H
#define PTQ_REPLACE_SPREAD_H

#include "supervise_state.h"

/* 1: all rows go from the workers straight to such reducers, and all problems are theirs. */
int replace_spread_is(const struct supervise *s);
/* Is process i one of them? */
int replace_spread_has(const struct supervise *s, size_t i);
/* Ends those that are still there, and notes of all (child.together) that have not failed by
 * themselves. 1: none is there. */
int replace_spread_end(struct supervise *s);

#endif
