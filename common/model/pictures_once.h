/* SPDX-License-Identifier: Apache-2.0 */
/* pictures_once - each picture once: what goes through a tower where some are there several times.
 *
 * Of those given together, which are those of a chunk, and not of all that a process has seen: what
 * a tower makes of a picture depends on those beside it (to the last bits, sight.h), and which
 * chunks meet in a process must not change a byte. */
#ifndef PTQ_PICTURES_ONCE_H
#define PTQ_PICTURES_ONCE_H

#include "pictures.h"

struct pictures_once {
    struct pictures p; /* the different ones; may borrow from those given */
    size_t *of;        /* [count of those given] which of them each is */
    float *pixels;
    int32_t *shapes;
};

/* By their digests. *o is to be released also after an error. */
int pictures_once_make(const struct pictures *p, struct pictures_once *o, struct err *e);
void pictures_once_release(struct pictures_once *o);

#endif
