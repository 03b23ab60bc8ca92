/* SPDX-License-Identifier: Apache-2.0 */
/* slide_data - the calibration sequences, in the order of their chunks, and the two streams of
 * hidden states: the quantized model's before a window, the full-precision model's behind it.
 * Private to the stage. */
#ifndef PTQ_SLIDE_DATA_H
#define PTQ_SLIDE_DATA_H

#include "../../common/base/json.h"
#include "../../common/model/model.h"
#include "../../common/wire/msg_chunk.h"

/* A few sequences, one behind the other. */
struct slide_part {
    size_t first; /* its first token */
    struct rows rows;
};

struct slide_data {
    struct model *m; /* borrowed */
    struct slide_held {
        uint64_t number;
        struct msg *msg;
        struct chunk_view view;
    } * held; /* [count] */
    size_t count, cap;
    /* by slide_data_start: */
    size_t T, nseq, parts;
    float *quantized, *full; /* [T,d] */
    float *weight;           /* [T] of tokens; NULL: all 1 */
    int32_t *ids;            /* [T] */
    int32_t *lengths;        /* [nseq] */
    struct slide_part *part; /* [parts] */
    double sum_w, sum_w2;
    char run[40]; /* of the chunks */
    struct json *prov;
};

void slide_data_release(struct slide_data *d);
/* A copy of a chunk. ERR_USE: it cannot be used. */
int slide_data_add(struct slide_data *d, const struct msg *chunk, struct err *e);
/* Bytes that its streams will take. */
uint64_t slide_data_bytes(const struct slide_data *d);
/* All have come: both streams are the embeddings. batch: sequences of a part. ERR_DATA: chunks are
 * missing. */
int slide_data_start(struct slide_data *d, size_t batch, struct err *e);
/* Both streams are the embeddings again. */
int slide_data_restart(struct slide_data *d, struct err *e);
/* The full-precision stream goes through a block. */
int slide_data_full(struct slide_data *d, size_t block, struct err *e);

#endif
