/* SPDX-License-Identifier: Apache-2.0 */
/* mixed_types - what a run that chooses its bits is asked for. */
#ifndef PTQ_MIXED_TYPES_H
#define PTQ_MIXED_TYPES_H

#include <stddef.h>

/* What is to be reached: one of the first three, the others 0. */
struct mixed_opts {
    double bpw;         /* bits a weight, at most */
    double qr;          /* share of the weights that is quantized, at least, at the run's bits */
    double kl;          /* divergence on the text, at most */
    const char *widths; /* "2,3,4,8": to choose among, as far as the formats hold them */
    const char *on;     /* text that choices are measured on; NULL: none is */
    size_t trials;      /* so many at most */
    const char *recipe; /* as the user named it */
    int argc;           /* the words behind it */
    char **argv;
};

/* Is any? */
int mixed_wanted(const struct mixed_opts *o);
/* The one that is: its option, without "--", and its value. */
const char *mixed_target_name(const struct mixed_opts *o);
double mixed_target(const struct mixed_opts *o);

#endif
