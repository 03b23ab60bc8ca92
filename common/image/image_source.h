/* SPDX-License-Identifier: Apache-2.0 */
/* image_source - where a data set says its pictures are: a path (from the folder of the data
 * file), file:PATH, or data:image/png;base64,... Nothing is fetched over the network. */
#ifndef PTQ_IMAGE_SOURCE_H
#define PTQ_IMAGE_SOURCE_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"

struct image_bytes {
    uint8_t *data; /* owned */
    size_t n;
    char *name; /* the path, or what kind of data; owned */
};

/* beside: path of the data file (NULL: paths are taken from the working folder). Fills *to, which
 * the caller releases. -1, ERR_USE: not there, too large, another kind of source; by name. */
int image_source_read(const char *source, const char *beside, struct image_bytes *to,
                      struct err *e);
void image_bytes_release(struct image_bytes *x);

#endif
