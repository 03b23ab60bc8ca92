/* SPDX-License-Identifier: Apache-2.0 */
/* pictures - what goes into a tower and what comes out of it. */
#ifndef PTQ_PICTURES_H
#define PTQ_PICTURES_H

#include "vision.h"

/* What preprocessing made of some images, as chunks carry it (msg_chunk.h); borrowed. */
struct pictures {
    size_t count;
    const float *pixels; /* [rows, width]: a row is a tile, or a patch */
    size_t rows, width;
    const int32_t *image_rows; /* [count] rows of each; the sum is rows */
    const int32_t *grid;       /* [count, 3] time, height and width in patches, or tiles */
    const int32_t *size;       /* [count, 2] height and width of the picture; NULL: not known */
    const uint64_t *digest;    /* [count] equal where the picture is the same; NULL: not known */
};

struct features {
    size_t count, rows, d;
    size_t *first; /* [count + 1] picture i has the rows [first[i], first[i + 1]) */
    float *x;      /* [rows, d] */
    float **deep; /* [VISION_LEVELS] levels that go behind blocks of the decoder; NULL: not there */
    size_t levels;
};

#endif
