/* SPDX-License-Identifier: Apache-2.0 */
/* replace - a process that is lost is replaced alone, where all others can stay.
 *
 * A forward worker: the sums of the open sites stay. A sampler of its own deals its lanes once
 * more, from text and seed; the new worker takes them through the committed blocks, or goes on from
 * kept hidden states, and sends the rows of the open sites, which bear the names of those that were
 * counted already; where chunks are weighed on their way, so are these again (way.h). One that
 * weighs for a relay: the same lanes again. A reducer: the workers, who wait for commits, send the
 * rows of the open sites again; several reducers are replaced together (replace_spread.h). A
 * writer: it reads its journal, and solvers send what it had not committed again. A sampler that
 * deals: the next one deals all of it again, to each worker the same, who knows what it has.
 *
 * Each has a place (--lease), the next one at it a higher epoch: neighbours wait for that one, and
 * what one that was given up still says is refused (link_lease.c). What is not covered begins again
 * as a whole (restart.h): a worker that has not all of its lanes yet, chunks that come through
 * any other stage, text from a pipe; experts that get the rows of all tokens, a record of problems;
 * a writer before its first commit or when workers have come to their end; a reducer to which those
 * of other hosts send sums of lanes, as they keep none; every other stage.
 */
#ifndef PTQ_REPLACE_H
#define PTQ_REPLACE_H

#include "supervise_state.h"

/* Before process i starts for the first time: its place, if it is one that can be replaced. */
int replace_lease(struct supervise *s, size_t i, struct err *e);
/* It has said which lanes it holds. */
void replace_lanes(struct child *c, const char *lanes);
/* A neighbour has given up the process that says this instance (link_hello.c), with this lease. */
void replace_lost(struct supervise *s, const char *instance, const char *lease);
/* Ends those that were given up and have not ended by themselves. */
void replace_tick(struct supervise *s);
/* 1: how process i ended is no failure of the run: it owed nothing any more. */
int replace_excuse(const struct supervise *s, size_t i);
/* All that ended badly are replaced: 1; 0: the run is to begin again as a whole; 2: some have to
 * end first, ask again. */
int replace_all(struct supervise *s);
#endif
