/* SPDX-License-Identifier: Apache-2.0 */
/* needless - what a run can do without once its checkpoint is complete. */
#ifndef PTQ_NEEDLESS_H
#define PTQ_NEEDLESS_H

#include "supervise_state.h"

/* 1: all that it makes goes to other stages: with the checkpoint complete nobody misses it. */
int needless_feeds(const struct launch_process *p);
/* 1: the writers have all commits: they have published their checkpoints, or are about to. */
int needless_delivered(const struct supervise *s);

#endif
