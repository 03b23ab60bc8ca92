/* SPDX-License-Identifier: Apache-2.0 */
/* rows - what the rows of a chunk are: whole sequences, one after the other. */
#ifndef PTQ_ROWS_H
#define PTQ_ROWS_H

#include <stddef.h>
#include <stdint.h>

struct rows {
    size_t T;
    size_t nseq;
    const int32_t *lengths; /* [nseq], sum = T */
};

#endif
