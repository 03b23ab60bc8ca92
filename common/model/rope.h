/* SPDX-License-Identifier: Apache-2.0 */
/* rope - rotary positions: tables of cos and sin, of halves as in most Hugging Face checkpoints
 * or of neighbours. */
#ifndef PTQ_ROPE_H
#define PTQ_ROPE_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"

enum rope_type {
    ROPE_DEFAULT,
    ROPE_LINEAR,
    ROPE_DYNAMIC,
    ROPE_YARN,
    ROPE_LONGROPE,
    ROPE_LLAMA3,
    ROPE_PROPORTIONAL
};

/* Which of three positions (time, row, column; in text they are one) turns a pair: the first
 * section[0] pairs by time, the next by row, the last by column; or in turns, by row and column
 * below 3 times their section; or, in towers, the first half by row and the second by column, each
 * with the frequencies of half the width. */
enum rope_axes { ROPE_ONE, ROPE_SECTIONS, ROPE_TURNS, ROPE_GRID };
#define ROPE_AXES_WIDTH 512 /* the widest of more than one */

struct rope_spec {
    enum rope_type type;
    enum rope_axes axes;
    size_t section[3];
    int pairs;    /* neighbours turn together (0 and 1, 2 and 3), not the two halves */
    size_t width; /* numbers of a head that turn: the first ones */
    double theta, factor;
    double low, high; /* llama3: of frequencies; yarn: turns within the original length */
    double scale;     /* of cos and sin */
    double share;     /* proportional: of the frequencies of all of a head, the first that turn */
    int exact;        /* yarn: the ramp begins and ends between two frequencies */
    size_t original;  /* length that the model was trained for */
    const double *brief, *extended; /* longrope [width / 2]: up to that length, beyond; borrowed */
};

/* Of the sequences that share frequencies: all, or those up to the original length and those
 * beyond, or those of one length. */
struct rope_table {
    size_t key;
    size_t length, room;  /* positions 0 .. length - 1 are there */
    float *inverse;       /* [half] radians per position */
    float *cosine, *sine; /* [length, half] */
};
struct rope {
    struct rope_spec spec;
    size_t half;
    struct rope_table *table;
    size_t count, room;
};

int rope_spec_same(const struct rope_spec *a, const struct rope_spec *b);
void rope_init(struct rope *r, const struct rope_spec *spec);
/* Tables for `count` sequences of these lengths. */
int rope_reserve(struct rope *r, const size_t *lengths, size_t count, struct err *e);
void rope_release(struct rope *r);
/* Rotates `heads` heads that stand one after the other at x, `distance` floats apart, at a
 * position of a sequence that is `length` long. */
void rope_apply(const struct rope *r, size_t length, size_t position, size_t heads, size_t distance,
                float *x);
/* The same by three positions below `reach`, for which tables were reserved. */
void rope_apply_axes(const struct rope *r, size_t reach, const int32_t position[3], size_t heads,
                     size_t distance, float *x);

#endif
