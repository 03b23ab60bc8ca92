/* SPDX-License-Identifier: Apache-2.0 */
/* supervise - starts the processes of a plan and stays with them until the last has ended. */
#ifndef PTQ_SUPERVISE_H
#define PTQ_SUPERVISE_H

#include "supervise_state.h"

/* From here on signals wait for supervise_run, until the process exits: none ends it between
 * making and removing what a run needs. Those that were ignored stay so. A descriptor, or -1. */
int supervise_signals(struct err *e);
/* 0: every process exited 0. -1: e names the process that failed first and its last words;
 * e->kind is the exit code of the run. */
int supervise_run(struct supervise *s, struct err *e);
void supervise_release(struct supervise *s);

#endif
