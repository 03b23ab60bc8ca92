/* SPDX-License-Identifier: Apache-2.0 */
/* slide - SliderQuant (arXiv 2603.25284): windows of blocks are learned one after the other, on the
 * stream of the model that is quantized so far, to give what the full-precision model gives behind
 * them; a block that no later window holds is settled, and its codes go out as solutions.
 *
 * The core, without sockets. All chunks of a run in one process, their hidden states in two
 * streams. The same bytes for any number of threads. */
#ifndef PTQ_SLIDE_H
#define PTQ_SLIDE_H

#include "../../common/wire/msg.h"
#include "slide_types.h"

struct slide;

struct slide_progress {
    size_t window, windows; /* at work, from 0 */
    size_t first, count;    /* its blocks */
    size_t step, steps;     /* of it; */
    /* steps of all windows, each times its blocks; those of an earlier run are none */
    size_t done, all;
    double loss; /* of the last step */
};

/* A window is done. */
struct slide_ended {
    double before, after; /* losses over all sequences before its first step, behind its last */
    int there;            /* an earlier run had done it */
    const char *bad;      /* why what that left was not used; NULL: there was nothing */
};

struct slide_io {
    void *ctx;
    int (*emit)(void *ctx, struct msg **m, struct err *e); /* a solution */
    /* A share of a step goes out to whoever works on it; a sum comes back, of any step. NULL: all
     * is worked on here, for the same bytes. */
    int (*ask)(void *ctx, struct msg **job, struct err *e);
    int (*answer)(void *ctx, struct msg **sum, struct err *e);
    void (*progress)(void *ctx, const struct slide_progress *p);
    void (*window)(void *ctx, const struct slide_progress *p, const struct slide_ended *x);
};

/* m, par: borrowed. An error: the model has an operation without a backward pass, or a site that a
 * group does not divide. */
struct slide *slide_open(struct model *m, struct par *par, const struct slide_opts *o,
                         struct err *e);
void slide_close(struct slide **s);
/* Takes a chunk, a copy. ERR_USE: it is not of this model, or nothing for a window. */
int slide_add(struct slide *s, const struct msg *chunk, struct err *e);
/* All chunks are there. ERR_SYS: a signal asked to stop. */
int slide_run(struct slide *s, const struct slide_io *io, struct err *e);

#endif
