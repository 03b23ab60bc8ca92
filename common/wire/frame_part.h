/* SPDX-License-Identifier: Apache-2.0 */
/* frame_part - what a message is made of on its way, and how much of it is taken. */
#ifndef PTQ_FRAME_PART_H
#define PTQ_FRAME_PART_H

#include <stddef.h>
#include <sys/types.h>

struct frame_limits {
    size_t parts;         /* default 4096 */
    size_t header_bytes;  /* default 64 MiB */
    size_t tensor_bytes;  /* default 8 GiB */
    size_t message_bytes; /* default 16 GiB */
    pid_t memory_of;      /* tensors may lie in memory of this process (share.h); 0: of none */
    unsigned reads;       /* kinds of messages, as 1u << kind, whose tensors are only read there */
};
#define FRAME_LIMITS_DEFAULT                                            \
    {                                                                   \
        4096, (size_t)64 << 20, (size_t)8 << 30, (size_t)16 << 30, 0, 0 \
    }

/* A part: bytes with an owner. */
struct part {
    void *data;
    size_t bytes;
    void (*release)(void *owner); /* NULL: borrowed */
    void *owner;
};
void part_release(struct part *p);

#endif
