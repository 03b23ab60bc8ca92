/* SPDX-License-Identifier: Apache-2.0 */
/* frame_head - what frame.c and frame_io.c share: the header of a message, read and checked
 * before its tensors are. */
#ifndef PTQ_FRAME_HEAD_H
#define PTQ_FRAME_HEAD_H

#include "frame_part.h"
#include "msg.h"
#include "zbuf.h"

struct frame_entry {
    struct tensor tensor; /* no data yet; bytes are the raw ones */
    enum zcodec codec;
    int shared; /* the part is a handle of memory (share.h), codec is ZC_RAW */
    size_t packed;
    uint32_t crc;
};

struct frame_head {
    struct msg *m; /* without tensors */
    size_t count;
    struct frame_entry *entries;
    pid_t memory_of; /* of the limits */
    unsigned reads;  /* of the limits */
};

/* Zero fields and NULL become the defaults. */
void frame_limits_fill(struct frame_limits *out, const struct frame_limits *lim);
/* Part 0; on success the caller frees h. */
int frame_head_read(const void *data, size_t bytes, const struct frame_limits *lim,
                    struct frame_head *h, struct err *e);
void frame_head_free(struct frame_head *h);
/* Adds the tensors (parts without part 0) and gives the message out; parts that were not taken
 * stay the caller's. */
struct msg *frame_head_finish(struct frame_head *h, struct part *parts, size_t count,
                              struct err *e);

#endif
