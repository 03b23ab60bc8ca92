/* SPDX-License-Identifier: Apache-2.0 */
/* decode - one file of a kind to RGB, as it is stored; image_file.c is the door. Each library is
 * known to its decode_*.c alone. Errors do not name the file. */
#ifndef PTQ_DECODE_H
#define PTQ_DECODE_H

#include "image.h"

/* Fills *to, released by the caller in any case, and *orientation (exif.h). */
int decode_jpeg(const uint8_t *data, size_t n, struct image *to, int *orientation, struct err *e);
int decode_png(const uint8_t *data, size_t n, struct image *to, int *orientation, struct err *e);
int decode_webp(const uint8_t *data, size_t n, struct image *to, int *orientation, struct err *e);

#endif
