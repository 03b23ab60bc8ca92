/* SPDX-License-Identifier: Apache-2.0 */
/* share_block - a block of share.h as both sides know it: a file whose first page is its head. Of
 * that the first number is that of the use, the second is not 0 when no other will follow. */
#ifndef PTQ_SHARE_BLOCK_H
#define PTQ_SHARE_BLOCK_H

#include <fcntl.h>
#include <stdint.h>
#include <string.h>

#define SHARE_HEAD 4096

/* Of the file as it is open here: others of this process are others. F_RDLCK, F_WRLCK, F_UNLCK; 0,
 * or -1 where somebody is in the way. */
static inline int block_lock(int fd, short kind)
{
    struct flock f = {.l_type = kind, .l_whence = SEEK_SET};

    return fcntl(fd, F_OFD_SETLK, &f);
}

static inline uint64_t block_word(const char *head, size_t i)
{
    uint64_t x;

    memcpy(&x, head + i * sizeof x, sizeof x);
    return x;
}

static inline uint64_t block_use(const char *head)
{
    return block_word(head, 0);
}

static inline int block_is_over(const char *head)
{
    return block_word(head, 1) != 0;
}

#endif
