/* SPDX-License-Identifier: Apache-2.0 */
/* image - a picture in memory: 8-bit RGB, and how large one may be. */
#ifndef PTQ_IMAGE_H
#define PTQ_IMAGE_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"

#define IMAGE_SIDE ((size_t)16384)      /* pixels */
#define IMAGE_PIXELS ((size_t)64 << 20) /* width x height */

struct image {
    size_t width, height;
    uint8_t *rgb; /* [height, width, 3]; owned */
};

/* -1, ERR_USE: no pixels, or beyond the limits; the two sizes are named. */
int image_check(size_t width, size_t height, struct err *e);
/* Checks, and takes memory for the pixels, which are not set. */
int image_alloc(struct image *to, size_t width, size_t height, struct err *e);
void image_release(struct image *x);
/* RGBA onto white, n pixels, in place: the first 3 n bytes are the result. */
void image_flatten(uint8_t *rgba, size_t n);

#endif
