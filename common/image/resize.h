/* SPDX-License-Identifier: Apache-2.0 */
/* resize - pictures to another size, as torchvision does it to 8-bit pictures on a CPU.
 *
 * Two passes, columns first, with 8 bits between them; the filter is stretched when the picture
 * shrinks (antialias). Weights are whole numbers of 15 bits with as many of them behind the point
 * as the largest weight leaves room for: that is the arithmetic of the reference (PyTorch's
 * upsample kernels for uint8), to the last bit. Pillow's has more bits and differs by one step in
 * a few pixels of a thousand. */
#ifndef PTQ_RESIZE_H
#define PTQ_RESIZE_H

#include "image.h"

enum resize_filter { RESIZE_BILINEAR, RESIZE_BICUBIC, RESIZE_LANCZOS };

/* Fills *to, which the caller releases; the same size is a copy. */
int resize_image(const struct image *from, size_t width, size_t height, enum resize_filter filter,
                 struct image *to, struct err *e);

#endif
