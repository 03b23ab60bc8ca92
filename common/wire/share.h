/* SPDX-License-Identifier: Apache-2.0 */
/* share - memory that another process of this host may read: what lies there need not travel.
 *
 * A block is an anonymous file (memfd) of its own, mapped here; a handle names it, and the other
 * process opens it by /proc/PID/fd. No name stands anywhere: when the last process that has it is
 * gone, however it went, so is the memory. A reader holds a lock on the file as long as it reads;
 * the kernel takes that back from one that dies. So a block is used again only when nobody reads
 * it, and each use has a number: a handle of an earlier one opens nothing. A reader that may write
 * has a private mapping: what it writes is its own. One that only reads keeps the mapping for the
 * next use: to take memory into a process and out of it again costs more than to read it.
 * Thread-safe. */
#ifndef PTQ_SHARE_H
#define PTQ_SHARE_H

#include <stddef.h>
#include <sys/types.h>
#include "../base/err.h"
#include "../tensor/tensor.h"
#include "frame_part.h"

#define SHARE_LEAST ((size_t)64 << 10) /* smaller tensors are copied sooner than mapped */
#define SHARE_IDLE ((size_t)26 << 20)  /* of blocks that who has them keeps, in bytes */
/* of blocks that who reads them keeps mapped: memory of their owner, as long as that has them */
#define SHARE_MAPPED ((size_t)64 << 20)
#define SHARE_HANDLE 24 /* u64 descriptor, u64 inode, u64 number of the use */

/* From now on share_alloc gives blocks: somebody has read one. */
void share_begin(void);
/* A block of at least so many bytes, aligned to a page, for share_free. NULL: there is none to be
 * had (before share_begin, too many are out, the system refuses): take other memory. */
void *share_alloc(size_t bytes);
/* The same, whether it began or not: for what is to be read first. */
void *share_probe(size_t bytes);
/* A block, or memory as mem_sparse gives it. */
void *share_raw(size_t bytes, struct err *e);
/* Of any of these. */
void share_free(void *data);
/* As tensor_alloc, in memory of share_raw: for what is to be sent. */
int share_tensor(struct tensor *t, const char *name, enum dtype dtype, int ndim,
                 const uint64_t *shape, struct err *e);
/* Before a tensor is sent on that lies elsewhere: its data go into a block. It stays as it is where
 * none is to be had, and where it is small or lies in a block already. */
void share_move(struct tensor *t);
/* 1: data lies at the start of a block that has so many bytes, and its handle is told; 0: not. */
int share_find(const void *data, size_t bytes, unsigned char handle[SHARE_HANDLE]);

enum share_as {
    SHARE_TO_WRITE, /* what is written is one's own; unmapped when it is released */
    /* who writes is ended by a signal; stays mapped until its block is gone or others were used */
    SHARE_TO_READ
};
/* A block of process pid: *p has its bytes, and to release it. -1: the handle names no such block,
 * or no longer (ERR_USE), or it cannot be mapped (ERR_SYS). */
int share_open(pid_t pid, const unsigned char handle[SHARE_HANDLE], size_t bytes, enum share_as as,
               struct part *p, struct err *e);

#endif
