/* SPDX-License-Identifier: Apache-2.0 */
/* share_parts - what share.c, which has blocks, and share_open.c, which reads them, agree on.
 * Nobody else includes it. The first page of a block is its head: the number of its use. */
#ifndef PTQ_SHARE_PARTS_H
#define PTQ_SHARE_PARTS_H

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>

#define SHARE_HEAD 4096
#define SHARE_GONE UINT64_MAX /* in place of a use: there is to be none any more */

/* How many descriptors it may take: not those that connections need. */
static inline size_t share_most(size_t most)
{
    struct rlimit r;

    return getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur / 8 < most ? (size_t)r.rlim_cur / 8
                                                                      : most;
}

static inline int share_lock(int fd, short kind)
{
    struct flock f = {.l_type = kind, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &f);
}

static inline void share_use_set(char *head, uint64_t use)
{
    __atomic_store_n((uint64_t *)(void *)head, use, __ATOMIC_RELEASE);
}

static inline uint64_t share_use(const char *head)
{
    return __atomic_load_n((const uint64_t *)(const void *)head, __ATOMIC_ACQUIRE);
}

#endif
