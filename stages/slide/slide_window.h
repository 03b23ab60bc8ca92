/* SPDX-License-Identifier: Apache-2.0 */
/* slide_window - some blocks, one behind the other, on the stream of the quantized model, against
 * what the same blocks at full precision make of theirs: the mean of the squares of the difference
 * (SliderQuant, eq. 1), and its way back to all that is learned. Private to the stage. */
#ifndef PTQ_SLIDE_WINDOW_H
#define PTQ_SLIDE_WINDOW_H

#include "slide_block.h"

struct slide_window {
    struct par *par;            /* borrowed, as the blocks are */
    struct slide_block **block; /* [count] */
    size_t count;
};

/* A few sequences together. */
struct slide_batch {
    struct rows rows;
    const float *x;      /* [T,d] before the window */
    const float *target; /* [T,d] behind it */
    const float *weight; /* [T] of tokens; NULL: all 1 */
    double all;          /* what the loss is divided by; 0: the sum of the weights */
};

/* *loss of the weights that the last rounding gave, and the gradients of all parameters. */
int slide_window_back(const struct slide_window *w, const struct slide_batch *t, double *loss,
                      struct err *e);
/* *loss alone. */
int slide_window_loss(const struct slide_window *w, const struct slide_batch *t, double *loss,
                      struct err *e);
/* Of each linear the first inputs, this share of them, are rounded from now on; 1: all. */
int slide_window_narrow(const struct slide_window *w, double share, struct err *e);
/* The optimisers begin anew. */
void slide_window_restart(const struct slide_window *w);
/* Every parameter takes a step (slide_param.h), alpha stays away from 0. */
int slide_window_step(const struct slide_window *w, const double rate[SLIDE_RATES], size_t step,
                      struct err *e);
/* All is rounded as the parameters now say. */
int slide_window_round(const struct slide_window *w, struct err *e);

#endif
