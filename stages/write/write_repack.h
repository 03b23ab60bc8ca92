/* SPDX-License-Identifier: Apache-2.0 */
/* write_repack - a quantized checkpoint in another format, from its own codes: nothing is solved
 * again, scales and zero points stay what they are. What does not fit the other format is refused
 * before anything is written. */
#ifndef PTQ_WRITE_REPACK_H
#define PTQ_WRITE_REPACK_H

#include <stddef.h>
#include <stdint.h>

#include "../../common/base/err.h"
#include "../../common/format/format.h"

struct repack_opts {
    const char *model; /* folder of the quantized checkpoint */
    const char *out;   /* folder that is there and empty */
    const struct format *format;
    uint64_t shard_bytes;
};

struct repack_report {
    const struct format *from;
    size_t linears, kept;
    uint64_t before, after; /* tensor bytes */
    int exact; /* the codes are the same; 0: weights were rounded to the type of the scales */
};

int repack_run(const struct repack_opts *o, struct repack_report *r, struct err *e);

#endif
