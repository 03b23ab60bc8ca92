/* SPDX-License-Identifier: Apache-2.0 */
/* plot_scale - from numbers to places and words: axes, ticks, and how numbers are written for
 * people. Draws nothing. */
#ifndef PTQ_PLOT_SCALE_H
#define PTQ_PLOT_SCALE_H

#include <stddef.h>

#define TICKS_MAX 16
#define SCALE_TEXT 40 /* bytes that hold any number written here */

/* lo..hi of the data lie at from..to of the picture. */
struct scale {
    double lo, hi, from, to;
    int log;
};

struct ticks {
    size_t count;
    double at[TICKS_MAX];
};

/* Covers lo..hi with ends that are round numbers; a range of one number gets room around it.
 * Numbers that are not finite, or not above 0 on a log scale, make it 0..1 (1..10). */
void scale_fit(struct scale *s, double lo, double hi, int log, double from, double to);
/* The same without rounding the ends. */
void scale_exact(struct scale *s, double lo, double hi, int log, double from, double to);
double scale_at(const struct scale *s, double v); /* NaN for what a log scale does not have */
/* About want ticks at round numbers inside the scale; whole: at whole numbers only. */
void scale_ticks(const struct scale *s, size_t want, int whole, struct ticks *t);

/* 1,234  12.3  0.000123  4.5×10⁻⁷; NaN: a dash. digits: significant ones; whole numbers below
 * 10^15 keep all theirs. */
void number_text(double v, int digits, char out[SCALE_TEXT]);
void seconds_text(double v, char out[SCALE_TEXT]);     /* 12.3 s, 4 min 05 s, 3 h 12 min */
void percent_text(double share, char out[SCALE_TEXT]); /* 0.123: 12.3 % */

/* Indices of at most max of n ranks, first and last included, spread evenly on a log axis;
 * *count of them, ascending. */
void rank_thin(size_t n, size_t max, size_t *index, size_t *count);

#endif
