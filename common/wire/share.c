/* SPDX-License-Identifier: Apache-2.0 */
/* share - see share.h: the one who has the memory. */
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../base/mem.h"
#include "share_parts.h"

#define BLOCKS 64               /* out or idle: each takes a descriptor */
#define BYTES ((size_t)2 << 30) /* out or idle; beyond that, other memory */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct block {
    int fd, idle;
    size_t bytes; /* behind the head */
    uint64_t node, use;
    char *at; /* of the head */
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* all below */
static struct block *blocks[BLOCKS];
static size_t count, total;
static int begun;

/* Its memory goes when those who read it still are done. */
static void block_drop(size_t i)
{
    struct block *b = blocks[i];

    share_use_set(b->at, SHARE_GONE);
    munmap(b->at, SHARE_HEAD + b->bytes);
    close(b->fd);
    total -= b->bytes;
    blocks[i] = blocks[--count];
    free(b);
}

/* Nobody reads it: the next use begins, and handles of the last one are void. */
static int block_claim(struct block *b)
{
    if (share_lock(b->fd, F_WRLCK) != 0)
        return 0;
    share_use_set(b->at, ++b->use);
    share_lock(b->fd, F_UNLCK);
    b->idle = 0;
    return 1;
}

/* A file may be limited in size, and what exceeds that is a signal. */
static int may_have(size_t bytes)
{
    struct rlimit r;

    return getrlimit(RLIMIT_FSIZE, &r) == 0 &&
           (r.rlim_cur == RLIM_INFINITY || bytes <= (size_t)r.rlim_cur);
}

static struct block *block_make(size_t bytes)
{
    struct block *b = calloc(1, sizeof *b);
    struct stat st;

    if (!b)
        return NULL;
    b->bytes = bytes;
    b->fd = memfd_create("ptq", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (b->fd < 0 || !may_have(SHARE_HEAD + bytes) ||
        ftruncate(b->fd, (off_t)(SHARE_HEAD + bytes)) != 0 ||
        fcntl(b->fd, F_ADD_SEALS, SEALS) != 0 || fstat(b->fd, &st) != 0)
        goto fail;
    b->node = st.st_ino;
    b->at = mmap(NULL, SHARE_HEAD + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
    if (b->at != MAP_FAILED && block_claim(b))
        return b;
    if (b->at != MAP_FAILED)
        munmap(b->at, SHARE_HEAD + bytes);
fail:
    if (b->fd >= 0)
        close(b->fd);
    free(b);
    return NULL;
}

/* The smallest idle one that is large enough and that nobody reads; else one that is too small
 * makes place for another. */
static struct block *block_take(size_t bytes)
{
    struct block *best = NULL, *b;
    size_t small = BLOCKS;

    for (size_t i = 0; i < count; i++) {
        b = blocks[i];
        if (b->idle && b->bytes < bytes)
            small = i;
        else if (b->idle && (!best || b->bytes < best->bytes) && block_claim(b)) {
            if (best)
                best->idle = 1;
            best = b;
        }
    }
    if (best)
        return best;
    if (small < BLOCKS)
        block_drop(small);
    if (count >= share_most(BLOCKS) || bytes > BYTES - total || !(b = block_make(bytes)))
        return NULL;
    total += bytes;
    return blocks[count++] = b;
}

static size_t idle_bytes(void)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += blocks[i]->idle ? blocks[i]->bytes : 0;
    return n;
}

void share_begin(void)
{
    pthread_mutex_lock(&mu);
    begun = 1;
    pthread_mutex_unlock(&mu);
}

static void *take(size_t bytes, int ask)
{
    const size_t page = SHARE_HEAD, whole = (bytes + page - 1) / page * page;
    struct block *b = NULL;

    if (bytes == 0 || bytes > BYTES)
        return NULL;
    pthread_mutex_lock(&mu);
    if (begun || !ask)
        b = block_take(whole);
    pthread_mutex_unlock(&mu);
    return b ? b->at + SHARE_HEAD : NULL;
}

void *share_alloc(size_t bytes)
{
    return bytes < SHARE_LEAST ? NULL : take(bytes, 1);
}

void *share_probe(size_t bytes)
{
    return take(bytes, 0);
}

void *share_raw(size_t bytes, struct err *e)
{
    void *data = share_alloc(bytes);

    return data ? data : mem_sparse(bytes, 1, e);
}

/* Under mu: the block that is out and whose elements begin here; BLOCKS: there is none. */
static size_t block_at(const void *data)
{
    for (size_t i = 0; i < count; i++)
        if (!blocks[i]->idle && data == blocks[i]->at + SHARE_HEAD)
            return i;
    return BLOCKS;
}

void share_free(void *data)
{
    size_t i;

    pthread_mutex_lock(&mu);
    if ((i = block_at(data)) < BLOCKS) {
        blocks[i]->idle = 1;
        if (idle_bytes() > SHARE_IDLE)
            block_drop(i);
    }
    pthread_mutex_unlock(&mu);
    if (i == BLOCKS)
        free(data);
}

int share_tensor(struct tensor *t, const char *name, enum dtype dtype, int ndim,
                 const uint64_t *shape, struct err *e)
{
    if (tensor_borrow(t, name, dtype, ndim, shape, NULL, e) < 0)
        return -1;
    if (!(t->data = share_raw(t->bytes, e))) {
        memset(t, 0, sizeof *t);
        return err_prefix(e, "tensor '%s'", name);
    }
    t->release = share_free;
    t->owner = t->data;
    return 0;
}

void share_move(struct tensor *t)
{
    unsigned char handle[SHARE_HANDLE];
    void *to = share_find(t->data, t->bytes, handle) ? NULL : share_alloc(t->bytes);

    if (!to)
        return;
    memcpy(to, t->data, t->bytes);
    if (t->release)
        t->release(t->owner);
    t->data = t->owner = to;
    t->release = share_free;
}

int share_find(const void *data, size_t bytes, unsigned char handle[SHARE_HANDLE])
{
    int found;
    size_t i;

    pthread_mutex_lock(&mu);
    i = block_at(data);
    found = i < BLOCKS && bytes <= blocks[i]->bytes;
    if (found) {
        const struct block *b = blocks[i];
        const uint64_t x[] = {(uint64_t)b->fd, b->node, b->use};

        memcpy(handle, x, SHARE_HANDLE);
    }
    pthread_mutex_unlock(&mu);
    return found;
}
