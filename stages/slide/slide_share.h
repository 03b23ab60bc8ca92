/* SPDX-License-Identifier: Apache-2.0 */
/* slide_share - the gradients of a step, as sums over its parts: whoever works on them, they are
 * added in the order of the parts, so the sums are the same bytes. Private to the stage. */
#ifndef PTQ_SLIDE_SHARE_H
#define PTQ_SLIDE_SHARE_H

#include "slide_job.h"
#include "slide_types.h"

struct slide_share {
    const struct slide_opts *o;
    const struct slide_window *w;
    const char *run;
    size_t window, first;
    double columns; /* the share of the inputs that are rounded */
    void *ctx;      /* as of slide_io */
    int (*ask)(void *ctx, struct msg **job, struct err *e);
    int (*answer)(void *ctx, struct msg **sum, struct err *e);
};

/* *loss of the step, and the gradients of all parameters of the window. */
int slide_share_step(const struct slide_share *s, const struct slide_batch *t, size_t step,
                     double *loss, struct err *e);

#endif
