/* SPDX-License-Identifier: Apache-2.0 */
/* exif - the orientation of a picture, the one thing that is read of its EXIF. */
#ifndef PTQ_EXIF_H
#define PTQ_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* 1 to 8 as the tag says it; 1, upright, where it is absent or broken. data: the TIFF part, with
 * or without "Exif\0\0" in front. */
int exif_orientation(const uint8_t *data, size_t n);

#endif
