/* SPDX-License-Identifier: Apache-2.0 */
/* pause - a process that rests between two parts of its work when the one that started it says so.
 *
 * What is said is a signal that stays blocked in every thread and is only looked at where a part
 * begins: no call is interrupted by it, none is lost, and they are seen in their order. The threads
 * of the links go on, so neighbours hear from a process that rests. */
#ifndef PTQ_PAUSE_H
#define PTQ_PAUSE_H

#include <signal.h>
#include <sys/types.h>
#include "err.h"

/* The signal alone: what a process is started with that may be told, lest it be ended by it. */
sigset_t pause_set(void);
/* Blocks it in this thread and those that it starts: before such a process is started. */
void pause_block(void);
/* From here on pause_wait() heeds what is said, also what was said before. */
int pause_init(struct err *e);
/* Between two parts: returns at once, or, told to rest, when told to go on or to drain (sig.h). By
 * the thread that status.h watches. */
void pause_wait(void);
/* Tells process pid, which has the signal blocked: 1 rest, 0 go on. 0, or -1: it is not there. */
int pause_tell(pid_t pid, int rest);

#endif
