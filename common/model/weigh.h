/* SPDX-License-Identifier: Apache-2.0 */
/* weigh - the weights of the tokens of one sequence, brought to mean 1 whatever they were made
 * of (a file, attention, modality). */
#ifndef PTQ_WEIGH_H
#define PTQ_WEIGH_H

#include <stddef.h>
#include "../base/err.h"
#include "../base/json.h"

/* Bounds of the weights at mean 1. high 0: none. */
struct weigh_clip {
    double low, high;
};

/* The value "LO,HI" of an option: 0 <= LO <= HI, HI > 0. */
int weigh_clip_parse(const char *text, struct weigh_clip *c, struct err *e);
/* Adds "weight_clip": [LO, HI] to a record of the provenance, when there are bounds. -1: no
 * memory. */
int weigh_clip_record(const struct weigh_clip *c, struct json *record);
/* w [n], each >= 0, to mean 1, clipped, and to mean 1 again. 0: they are all 0, or one is not
 * finite: each is 1 now. */
int weigh_normal(float *w, size_t n, const struct weigh_clip *c);

#endif
