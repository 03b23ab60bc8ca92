/* SPDX-License-Identifier: Apache-2.0 */
/* crew - processes of elastic stages (so marked in the recipe), which may come and go while a run
 * goes on: scale, swap, and what becomes of one that dies. Also answers the other requests of the
 * control socket.
 *
 * A process has joined when its links stand: one of ours says so by a status line; of another
 * program the processes that bind its sockets say that a peer has come (status.h, hello).
 *
 * A swap starts as many new processes as there are old ones, waits until each has joined, then
 * tells the old ones to finish what they have in hand and leave. When a new one ends before that,
 * or takes too long, the old ones stay and the swap has failed; the run goes on.
 *
 * A stage that no process serves any more, however the last one ended, gets another while those
 * whose sockets it connects to are there: `restarts` times without a further site, then the run has
 * failed. */
#ifndef PTQ_CREW_H
#define PTQ_CREW_H

#include <stddef.h>
#include <stdint.h>
#include "../common/base/json.h"
#include "supervise_state.h"

/* ctx: struct supervise. */
void crew_request(void *ctx, uint64_t client, const struct json *request);
/* Somebody said hello at an endpoint of the run; instance: as links make them, the process group
 * in front, or another's own way. */
void crew_hello(struct supervise *s, const char *instance, const char *address);
/* Moves a scale or swap on and mends what nobody serves; call after every turn. */
void crew_tick(struct supervise *s);
/* The run is stopping: no more waiting, and what was to join leaves. */
void crew_stop(struct supervise *s);
/* Process i has ended badly. 1: the run goes on without it, or with a new one like it; 0: that
 * is a failure of the run. */
int crew_excuse(struct supervise *s, size_t i);
/* Everything but the crews has ended: who is still there has nothing to wait for. */
void crew_dismiss(struct supervise *s);

#endif
