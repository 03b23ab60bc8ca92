/* SPDX-License-Identifier: Apache-2.0 */
/* rows - what the rows of a chunk are: whole sequences, one after the other. */
#ifndef PTQ_ROWS_H
#define PTQ_ROWS_H

#include <stddef.h>
#include <stdint.h>

/* What images among the tokens change. */
struct rows_seen {
    /* [T, 3] position in time, row and column, each below reach; NULL: all three are the position
     * in the sequence */
    const int32_t *axis;
    size_t reach;
    const int32_t *image; /* [T] which image a token is of, -1: none; NULL: none is */
    /* What a tower gives blocks beside the embeddings: level l is added behind block l to the
     * tokens of images, feature[t] a row of deep[l] [rows, d], -1: none. */
    const int32_t *feature;
    const float *const *deep;
    size_t deeps;
};

struct rows {
    size_t T;
    size_t nseq;
    const int32_t *lengths;       /* [nseq], sum = T */
    const struct rows_seen *seen; /* NULL: text alone */
};

#endif
