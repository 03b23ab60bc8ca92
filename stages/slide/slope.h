/* SPDX-License-Identifier: Apache-2.0 */
/* slope - works on shares of steps: from the rows and the parameters of a window to the sums of
 * its gradients. Keeps the blocks of the window at work; the same share, the same bytes.
 *
 * The core, without sockets. */
#ifndef PTQ_SLOPE_H
#define PTQ_SLOPE_H

#include "../../common/wire/msg.h"
#include "slide_job.h"

struct slope;

/* Of the checkpoint in dir; dir, par: borrowed. An error: the model has an operation without a
 * backward pass. */
struct slope *slope_open(const char *dir, struct par *par, struct err *e);
void slope_close(struct slope **s);
/* *sum is the caller's. ERR_USE: it is no share of a step of this model. */
int slope_take(struct slope *s, const struct msg *job, struct msg **sum, struct err *e);

#endif
