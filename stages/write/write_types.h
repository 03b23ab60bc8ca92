/* SPDX-License-Identifier: Apache-2.0 */
/* write_types - what a writer is asked for, and how large what it wrote is. */
#ifndef PTQ_WRITE_TYPES_H
#define PTQ_WRITE_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/format/format.h"

/* tensor bytes of a weight file, as others cut them */
#define WRITE_SHARD_BYTES 5000000000
#define WRITE_NO_SHARDS "--shard-size 0: a weight file of no bytes; say how many, as 2G"

struct write_opts {
    const char *model; /* folder of the source */
    const char *out;
    const char *formats; /* "gptq,dense": names of common/format/format_list.c */
    const char *note;    /* file: text for the journal and the model card; NULL: none */
    int tower;           /* the linears of the model's tower are quantized too */
    int overwrite, keep_parts;
    int commits; /* they go to those who make the problems: a site follows from those before it */
    /* an earlier run has committed the sites before this one: they are taken over from its parts,
     * of which the rest goes. 0: there is no earlier run */
    uint64_t from_site;
    int same_run; /* it goes on with all but its writer: later sites of the journal are taken too */
    /* all parts that an earlier run has left are taken over, and no solution will come: the sites
     * without one stay at full precision */
    int from_parts;
    uint64_t shard_bytes; /* 0: WRITE_SHARD_BYTES */
    /* hosts whose CPUs compute with other kernels may take part: the result says so */
    int any_kernels;
    int head_bits; /* of the head and the embedding in a GGUF file; 0: they stay as they are */
};

/* Tensor bytes of the source and of each format. */
struct write_sizes {
    uint64_t source;
    size_t formats;
    struct {
        const char *name;
        char *folder;
        uint64_t bytes;
    } format[FORMATS_MAX];
    /* stored bits of a quantized weight, its share of scales and zeros included */
    double bits;
};

#endif
