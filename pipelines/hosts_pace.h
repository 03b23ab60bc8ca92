/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_pace - a forward process that computes faster gets more lanes. A lane stays where it is for
 * the whole run, with its hidden states, so they are shared out by what a thread of each host
 * multiplies in a second, measured when it joins, times the threads of the process. */
#ifndef PTQ_HOSTS_PACE_H
#define PTQ_HOSTS_PACE_H

#include "supervise_state.h"

/* Before the process starts that deals chunks: how fast who takes them is. */
int hosts_pace_give(const struct supervise *s, struct launch_process *p, struct err *e);

#endif
