/* SPDX-License-Identifier: Apache-2.0 */
/* rope - rotary positions: tables of cos and sin, half-split as in Hugging Face checkpoints. */
#ifndef PTQ_ROPE_H
#define PTQ_ROPE_H

#include <stddef.h>
#include "../base/err.h"
#include "config.h"

struct rope_spec {
    enum rope_type type;
    size_t width; /* of a head, all of it rotated */
    double theta, factor, low, high;
    size_t original;
};
struct rope {
    struct rope_spec spec;
    size_t half, length, room; /* width / 2; positions 0 .. length - 1 are there */
    float *inverse;            /* [half] radians per position */
    float *cosine, *sine;      /* [length, half] */
};

struct rope_spec rope_spec_of(const struct config *c);
int rope_spec_same(const struct rope_spec *a, const struct rope_spec *b);
int rope_init(struct rope *r, const struct rope_spec *spec, struct err *e);
int rope_reserve(struct rope *r, size_t length, struct err *e);
void rope_release(struct rope *r);
/* Rotates `heads` heads that stand one after the other at x. */
void rope_apply(const struct rope *r, size_t position, size_t heads, float *x);

#endif
