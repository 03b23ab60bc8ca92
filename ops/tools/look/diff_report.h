/* SPDX-License-Identifier: Apache-2.0 */
/* diff_report - what is found while two things are compared: a line each, and what they add up
 * to. */
#ifndef PTQ_DIFF_REPORT_H
#define PTQ_DIFF_REPORT_H

#include <stdint.h>
#include <stdio.h>
#include "../../../common/tensor/tensor.h"

struct diff_opts {
    int json; /* one JSON object a line */
    size_t nignore;
    const char *const *ignore; /* fields of meta that do not count */
};

struct diff_report {
    const struct diff_opts *o;
    FILE *out;
    uint64_t equal, different;
    /* Of the float tensors that differ: sums of squares of the differences and of the first, and
     * the one whose relative error is largest. */
    uint64_t floats;
    double gap2, first2, worst;
    char worst_name[TENSOR_NAME + 8];
};

/* One of two tensors that are compared. */
struct diff_side {
    const struct tensor *t;
    const char *kind; /* what it is stored as: "BF16" */
    int coded;        /* as codes, and t is the weights that they stand for */
};

/* One finding: where ("problem b3.attn.qkv", or empty), what (a tensor or field), how. */
void diff_report_say(struct diff_report *r, const char *where, const char *what, const char *how);
/* Float tensors of one shape are compared as numbers. Equal is what has the same numbers, and the
 * same type unless it is stored as codes. */
void diff_report_tensors(struct diff_report *r, const char *where, const char *what,
                         const struct diff_side *a, const struct diff_side *b);
/* The line at the end. */
void diff_report_totals(const struct diff_report *r);

#endif
