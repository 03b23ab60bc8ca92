/* SPDX-License-Identifier: Apache-2.0 */
/* report_pictures - what a stream of chunks says of the images that calibrated a run: how many, how
 * many tokens they take, and the first of them, small, with what each of their tokens counts. */
#ifndef PTQ_REPORT_PICTURES_H
#define PTQ_REPORT_PICTURES_H

#include <stddef.h>
#include <stdint.h>
#include "report_read.h"

#define PICTURES_SHOWN 24
#define PICTURE_SIDE 96 /* pixels of the longer side, at most */

struct report_picture {
    uint64_t chunk, digest;
    size_t height, width; /* as decoded */
    size_t tokens, times; /* tokens where it is first; how often it is there */
    size_t h, w;
    unsigned char *rgb;        /* [h, w, 3] as the model takes it in, contrast stretched */
    size_t down, across;       /* its tokens as a grid; 0: they are none */
    float *heat;               /* [down, across] weight of each token; NULL: all count alike */
    double lightest, heaviest; /* of them */
};

struct report_pictures {
    size_t chunks, sequences, images, distinct, without; /* without: sequences with no image */
    uint64_t text, image, answer;                        /* tokens; answer: of text */
    size_t shown;
    struct report_picture at[PICTURES_SHOWN];
    size_t ndigest, digest_cap;
    uint64_t *digest; /* of each that is different */
};

/* A stream of ptq-sample or ptq-importance. ERR_USE: it is of another model than the run. */
struct report_pictures *report_pictures_read(const struct report *r, const char *file,
                                             struct err *e);
void report_pictures_close(struct report_pictures **p);

#endif
