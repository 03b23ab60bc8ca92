/* SPDX-License-Identifier: Apache-2.0 */
/* slide_param - numbers that are learned, with what AdamW keeps of each (arXiv 1711.05101; no
 * weight decay, so it is Adam with the corrections of its first steps). Private to the stage. */
#ifndef PTQ_SLIDE_PARAM_H
#define PTQ_SLIDE_PARAM_H

#include <stddef.h>
#include "../../common/base/par.h"

struct slide_param {
    size_t n; /* 0: there is none */
    float *x; /* [n] the values */
    float *g; /* [n] their gradient, to be written before a step */
    float *m, *v;
};

/* All 0. To be released in any case. */
int slide_param_init(struct slide_param *p, size_t n, struct err *e);
void slide_param_release(struct slide_param *p);
/* A new optimiser: what it kept is forgotten. */
void slide_param_restart(struct slide_param *p);
/* One step, by the threads of par; step: its number, from 1. */
int slide_param_step(struct slide_param *p, struct par *par, double rate, size_t step,
                     struct err *e);

#endif
