/* SPDX-License-Identifier: Apache-2.0 */
/* image_file - pictures out of files: JPEG, PNG, WebP to 8-bit RGB, the right way up.
 *
 * Grey becomes three equal channels, a palette its colours, 16 bits their upper 8, CMYK its
 * plain complement; what is transparent lies on white; the EXIF orientation is applied. What a
 * file is, its contents say; a name that says another kind is refused, as is a file that ends too
 * early, one that a decoder warns of, and one beyond the limits (image.h). Files are not trusted:
 * the size is checked before memory is taken. */
#ifndef PTQ_IMAGE_FILE_H
#define PTQ_IMAGE_FILE_H

#include "image.h"

#define IMAGE_BYTES ((size_t)64 << 20) /* of a file */

/* Fills *to, which the caller releases. -1, ERR_USE: the file, by name, and why. */
int image_file_open(const char *path, struct image *to, struct err *e);
/* The bytes of a file alone; the caller frees. */
int image_file_read(const char *path, uint8_t **data, size_t *n, struct err *e);
/* The same of n bytes in memory; name: for errors, and for what its ending says (NULL: nothing). */
int image_file_decode(const void *data, size_t n, const char *name, struct image *to,
                      struct err *e);

#endif
