/* SPDX-License-Identifier: Apache-2.0 */
/* msg_images - the pictures of a chunk, prepared for the model's vision tower, and which token
 * gets a feature of which. Part of msg_chunk.h; field by field: INTERFACES.md. */
#ifndef PTQ_MSG_IMAGES_H
#define PTQ_MSG_IMAGES_H

#include "msg.h"

struct chunk_images { /* borrows */
    size_t n;         /* 0: there are none, and the rest is NULL */
    /* "pixels" F32: tiles [P, 3, H, W] or patches [P, values], those of one picture after those
     * of the other. To be written with data NULL: room is made, which the caller fills. */
    const struct tensor *pixels;
    const int32_t *of;      /* "image" I32 [T]: picture of each token, -1: text */
    const int32_t *rows;    /* "image_rows" I32 [n]: of pixels; together P */
    const int32_t *grid;    /* "image_grid" I32 [n, 3] */
    const int32_t *size;    /* "image_size" I32 [n, 2]: height, width as decoded */
    const uint64_t *digest; /* "image_digest" U64 [n]: equal where pixels, grid and size are */
};

/* modality: of the T tokens of the chunk, NULL when there is none. */
int images_read(const struct msg *m, size_t T, const uint8_t *modality, struct chunk_images *x,
                struct err *e);
/* Adds the tensors; those of the tokens have T values. */
int images_write(struct msg *m, size_t T, const struct chunk_images *x, struct err *e);

#endif
