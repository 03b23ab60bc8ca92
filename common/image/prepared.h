/* SPDX-License-Identifier: Apache-2.0 */
/* prepared - what a picture becomes for a model: shape and place in the text. */
#ifndef PTQ_PREPARED_H
#define PTQ_PREPARED_H

#include <stddef.h>
#include <stdint.h>

struct prepared_shape {
    int ndim; /* of the pixels: 4 for tiles [rows, 3, H, W], 2 for patches [rows, values] */
    uint64_t shape[4];
    /* patches: time, height, width in patches; tiles: 1, rows, columns of the picture's division,
     * 1, 0, 0 when it is not divided */
    int32_t grid[3];
    int32_t size[2]; /* height, width as decoded */
    size_t tokens;   /* image tokens in the text */
};

#endif
