/* SPDX-License-Identifier: Apache-2.0 */
/* stall - finds the process of a run that does nothing: its links may answer, it may spin or hang.
 * Each one of ours says every second that its own thread goes on (status.h); one that has not
 * for supervise.stall seconds is named, with since when and whether it computes, and again each
 * time that has doubled. It is not ended: one step of a large model may take that long; but one of
 * whose work the checkpoint has all is, after half a minute. */
#ifndef PTQ_STALL_H
#define PTQ_STALL_H

#include "supervise_state.h"

/* It has said something. */
void stall_over(struct child *c, double now);
/* Looks at all processes; now: clock_wall. */
void stall_tick(struct supervise *s, double now);
/* What is said of one, for tests. cpu: CPU seconds since half the time; < 0: not known. */
void stall_text(const struct child *c, double now, double cpu, char *out, size_t size);

#endif
