/* SPDX-License-Identifier: Apache-2.0 */
/* scan - one pass over the weights of a model beside its run: a NaN in the last block is told
 * within the first, not when the run gets there. */
#ifndef PTQ_SCAN_H
#define PTQ_SCAN_H

#include "../common/base/err.h"

struct scan;

/* A thread of low priority reads the checkpoint in folder model. NULL: none could be started. */
struct scan *scan_start(const char *model, struct err *e);
/* 1: it found something, *e names it (once); 0: not yet, or all is well. s may be NULL. */
int scan_found(struct scan *s, struct err *e);
/* At once, also when it is not through. */
void scan_stop(struct scan **s);

#endif
