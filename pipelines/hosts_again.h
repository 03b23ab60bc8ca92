/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_again - lanes of workers of other hosts are leased again, and the rest of the run goes on.
 *
 * When a process of a worker's part (hosts_parts.h) is lost, or the worker, the part goes to
 * whoever comes first of: the same worker, if it is there; one that is there and has no part; the
 * head, where one forward process takes all of its lanes. A sampler of its own deals them once
 * more, they pass through the committed blocks, and the sums of the sites that are open bear the
 * names of those that were counted already. A holder that was only cut off and comes back is
 * refused, as its places have been given to others. */
#ifndef PTQ_HOSTS_AGAIN_H
#define PTQ_HOSTS_AGAIN_H

#include "supervise_state.h"

/* Is host i there, and would it take a part? */
int hosts_may_take(const struct hosts *h, size_t i);
/* What a worker says of its processes. */
void hosts_told(const struct supervise *s, size_t host, const struct json *processes);
/* A neighbour has given up who has this lease: it may be a process of a worker. */
void hosts_lease_lost(struct supervise *s, const char *lease);
/* Parts that are lost; -1: it is not known which lanes one of them had, or the run is to begin
 * again. */
int hosts_owed(const struct supervise *s);
/* All of these are leased again, behind the sites before `from`; -1: one cannot. */
int hosts_lease_again(struct supervise *s, uint64_t from, struct err *e);
/* Forward processes of workers that take their chunks where the run's own do. */
size_t hosts_takers(const struct supervise *s);
/* All is committed: nobody needs what is lost. */
void hosts_forgive(struct supervise *s);
/* Those that were given up count as lost when they have not come to their end. */
void hosts_again_tick(struct supervise *s);

#endif
