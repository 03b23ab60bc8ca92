/* SPDX-License-Identifier: Apache-2.0 */
/* slide_state - what each finished window has learned, in a folder: a run that is given again with
 * it goes on behind the last of them, with the same bytes. A file a window, published whole; its
 * messages (one for each block, INTERFACES.md 1.4) have checksums. Private to the stage. */
#ifndef PTQ_SLIDE_STATE_H
#define PTQ_SLIDE_STATE_H

#include "slide_types.h"

struct slide_state {
    const char *dir; /* NULL: nothing is kept */
    const char *run; /* what the numbers depend on: another run's files do not count */
    size_t window;
    double before, after; /* its losses */
    struct slide_curve curve;
};

/* The means as an array, for the solutions too. NULL: out of memory. */
struct json *slide_state_curve(const struct slide_curve *c);
/* A block with all that is learned of it, and back. */
struct msg *slide_state_message(const struct slide_state *s, struct slide_block *b, struct err *e);
void slide_state_take(const struct msg *m, struct slide_block *b);
/* Of window s->window. */
int slide_state_save(const struct slide_state *s, const struct slide_window *w, struct err *e);
/* 1: all parameters of w and its losses are those of the file; 0: there is none, or *bad says why
 * it is not used, and the parameters are what they were; -1. */
int slide_state_load(struct slide_state *s, const struct slide_window *w, struct err *bad,
                     struct err *e);

#endif
