/* SPDX-License-Identifier: Apache-2.0 */
/* frame - messages to bytes and back. Part 0 is the CRC32C (u32) of what follows in it and a
 * msgpack map (INTERFACES.md), then one part per tensor.
 *
 * A decoder checks every length by subtraction, and shape x dtype = raw length, before it
 * allocates, and refuses more than the limits. On pipes and in files the parts stand behind a
 * fixed prefix: magic "PTQ1", u32 part count, then u64 length of each part, all little-endian.
 * Decoded tensors of raw codec borrow from the part when it was handed over (no copy). */
#ifndef PTQ_FRAME_H
#define PTQ_FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "../base/err.h"
#include "frame_part.h"
#include "msg.h"
#include "zbuf.h"

/* FRAME_MEMORY: of tensors that lie in shared memory a handle travels (share.h), the others raw. */
enum frame_compress { FRAME_RAW, FRAME_ZSTD, FRAME_MEMORY };

/* Encodes m into parts (array malloc'd; parts of raw tensors borrow from m, so m must outlive
 * them). With FRAME_MEMORY m must live until the receiver has decoded them. */
int frame_encode(const struct msg *m, enum frame_compress c, struct part **parts, size_t *count,
                 struct err *e);
void frame_parts_free(struct part **parts, size_t *count);
/* FAULT_FLIP: one bit of the parts is another, FAULT_CUT: the last is shorter. What was borrowed
 * stays as it is. */
int frame_damage(struct part *parts, size_t count, unsigned fault, uint64_t where, struct err *e);
/* Decodes; takes over ownership of every part (also on error: they are released). */
struct msg *frame_decode(struct part *parts, size_t count, const struct frame_limits *lim,
                         struct err *e);

/* The same, but asks before any memory is taken for tensors whether they are wanted: want gets the
 * message without them, and their raw bytes; 1: go on, 0: drop it, -1. Returns what want returned,
 * with *m set after 1; -1. */
int frame_decode_if(struct part *parts, size_t count, const struct frame_limits *lim,
                    int (*want)(void *ctx, const struct msg *m, size_t bytes, struct err *e),
                    void *ctx, struct msg **m, struct err *e);

/* Byte streams. frame_read: 1 a message, 0 clean end of file (between messages), -1 error
 * (truncated: ERR_DATA, corrupt: ERR_USE). */
int frame_write(int fd, const struct msg *m, enum frame_compress c, const char *what,
                uint64_t *bytes_out, struct err *e);
/* The same, damaged on the way as fault.h has it: FAULT_*, where. Cut: does not return. */
int frame_write_damaged(int fd, const struct msg *m, enum frame_compress c, unsigned fault,
                        uint64_t where, const char *what, uint64_t *bytes_out, struct err *e);
int frame_read(int fd, struct msg **m, const struct frame_limits *lim, const char *what,
               uint64_t *bytes_in, struct err *e);
/* From memory, for tests and fuzzing: one framed message at data; *used says how much was read. */
struct msg *frame_parse(const void *data, size_t length, const struct frame_limits *lim,
                        size_t *used, struct err *e);

#endif
