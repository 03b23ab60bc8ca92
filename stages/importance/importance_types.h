/* SPDX-License-Identifier: Apache-2.0 */
/* importance_types - what the parts of the stage share: its options, and what is measured of a
 * chunk. Private to the stage. */
#ifndef PTQ_IMPORTANCE_TYPES_H
#define PTQ_IMPORTANCE_TYPES_H

#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/model/products.h"
#include "../../common/model/seen.h"
#include "../../common/model/weigh.h"
#include "../../common/wire/msg_chunk.h"

enum importance_method { IMPORTANCE_TLQ, IMPORTANCE_VLMQ, IMPORTANCE_MBQ };
enum importance_loss { IMPORTANCE_ANSWERS, IMPORTANCE_ALL };

struct importance_opts {
    enum importance_method method;
    enum importance_loss loss;
    double select; /* share of the tokens of a sequence that count; 1: all */
    struct weigh_clip clip;
    enum products products;
    int squared;        /* vlmq: g^2 */
    int ratios;         /* mbq: its ratios go out, not weights */
    int64_t bits;       /* vlmq: of the weights that the second stream goes through */
    int64_t group;      /* and their groups; -1: whole rows */
    const char *keep;   /* file of the raw values; NULL: none */
    const char *fisher; /* and of the diagonal of the Fisher information */
    uint64_t mem;       /* for what is kept of chunks that are worked on together */
};

/* What linears of one name gave for the tokens of a chunk. */
struct importance_raw {
    char *name;
    float *g; /* [T] mean over channels of |dL/dY|, 0 where an expert did not get the token */
};

/* A chunk in hand. */
struct importance_held {
    struct msg *msg; /* NULL once it was handed on */
    struct chunk_view view;
    struct seen seen; /* its images, until it was measured */
    size_t T, nseq;
    uint64_t number;
    uint8_t *predicted; /* [T] */
    double *loss;       /* [nseq] NaN: nothing is predicted */
    float *g; /* [sites, T] as in raw, over all linears of the site; an expert's: NaN where
                           it did not get the token. NULL: not measured, or not needed any more */
    struct importance_raw *raw; /* [nraw] with keep */
    size_t nraw, raw_cap;
};

#endif
