/* SPDX-License-Identifier: Apache-2.0 */
/* share_read - the reader's side of share.h. What is only read stays mapped for the next use of
 * the block: to map it anew, and to find its pages again, costs more than to read it. */
#include "share.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../base/mem.h"
#include "share_block.h"

enum { KEPT = 16 }; /* mappings: more than a few senders have blocks under way */

struct reading {
    char *at; /* of the head */
    size_t bytes;
    int fd;
    /* what follows: of one that is kept */
    int kept;
    pid_t pid;
    uint64_t number, node; /* the descriptor there, the inode */
    size_t readers;
    uint64_t turn; /* when it was read last */
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* all below, and what is kept */
static struct reading *kept[KEPT];
static size_t count;
static uint64_t turns;
static dev_t known;

static void reading_destroy(struct reading *r)
{
    if (r->at != MAP_FAILED)
        munmap(r->at, r->bytes);
    if (r->fd >= 0)
        close(r->fd); /* and with it the lock */
    free(r);
}

static void kept_drop(size_t i)
{
    reading_destroy(kept[i]);
    kept[i] = kept[--count];
}

static void reading_end(void *owner)
{
    struct reading *r = owner;

    if (!r->kept) {
        reading_destroy(r);
        return;
    }
    pthread_mutex_lock(&mu);
    if (--r->readers == 0)
        block_lock(r->fd, F_UNLCK);
    pthread_mutex_unlock(&mu);
}

/* The device on which all such files of this system lie; 0 is none that a handle can name. */
static dev_t device(void)
{
    struct stat st;
    int fd;

    pthread_mutex_lock(&mu);
    if (!known && (fd = memfd_create("ptq", MFD_CLOEXEC)) >= 0) {
        known = fstat(fd, &st) == 0 ? st.st_dev : 0;
        close(fd);
    }
    pthread_mutex_unlock(&mu);
    return known;
}

/* It is looked at before it is opened: what else the path may name could act on being opened.
 * *size: of the file. */
static int block_open(pid_t pid, const uint64_t x[3], size_t bytes, size_t *size)
{
    char path[64];
    struct stat st;
    int fd, seals;

    if (x[0] > INT32_MAX ||
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)pid, (int)x[0]) < 0 ||
        stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_dev != device() || st.st_ino != x[1])
        return -1;
    if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
        return -1;
    seals = fcntl(fd, F_GET_SEALS);
    if (seals >= 0 && (seals & F_SEAL_SHRINK) && fstat(fd, &st) == 0 && st.st_dev == device() &&
        st.st_ino == x[1] && st.st_size >= SHARE_HEAD && bytes <= (size_t)st.st_size - SHARE_HEAD &&
        block_lock(fd, F_RDLCK) == 0) {
        *size = (size_t)st.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

static struct reading *reading_make(pid_t pid, const uint64_t x[3], size_t bytes, int only_read,
                                    struct err *e)
{
    struct reading *r = mem_array(1, sizeof *r, e);
    size_t size;

    if (!r)
        return NULL;
    r->at = MAP_FAILED;
    r->pid = pid;
    r->number = x[0];
    r->node = x[1];
    if ((r->fd = block_open(pid, x, bytes, &size)) < 0) {
        err_set(e, ERR_USE, "process %d has no memory for us by the name that came", (int)pid);
        goto fail;
    }
    r->bytes = only_read ? size : SHARE_HEAD + bytes;
    r->at = only_read ? mmap(NULL, r->bytes, PROT_READ, MAP_SHARED, r->fd, 0)
                      : mmap(NULL, r->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, r->fd, 0);
    if (r->at != MAP_FAILED)
        return r;
    err_sys(e, "cannot map %zu bytes of process %d", r->bytes, (int)pid);
fail:
    reading_destroy(r);
    return NULL;
}

/* Under mu: the one that is kept of this block, and locked again. */
static struct reading *kept_find(pid_t pid, const uint64_t x[3], size_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        struct reading *r = kept[i];

        if (r->pid == pid && r->number == x[0] && r->node == x[1] &&
            bytes <= r->bytes - SHARE_HEAD && (r->readers || block_lock(r->fd, F_RDLCK) == 0))
            return r;
    }
    return NULL;
}

/* No other use will follow. */
static int is_over(const struct reading *r)
{
    return block_is_over(r->at) || kill(r->pid, 0) != 0;
}

/* Under mu: place for one more; 0: all are being read. Those that are over go, and where all places
 * are taken the one that was read longest ago. */
static int kept_room(void)
{
    size_t oldest = KEPT;

    for (size_t i = count; i-- > 0;)
        if (!kept[i]->readers && is_over(kept[i]))
            kept_drop(i);
    if (count < KEPT)
        return 1;
    for (size_t i = 0; i < count; i++)
        if (!kept[i]->readers && (oldest == KEPT || kept[i]->turn < kept[oldest]->turn))
            oldest = i;
    if (oldest == KEPT)
        return 0;
    kept_drop(oldest);
    return 1;
}

/* Locked, until reading_end. */
static struct reading *reading_take(pid_t pid, const uint64_t x[3], size_t bytes, int only_read,
                                    struct err *e)
{
    struct reading *r = NULL;

    if (only_read) {
        pthread_mutex_lock(&mu);
        if ((r = kept_find(pid, x, bytes))) {
            r->readers++;
            r->turn = ++turns;
        }
        pthread_mutex_unlock(&mu);
    }
    if (r || !(r = reading_make(pid, x, bytes, only_read, e)) || !only_read)
        return r;
    pthread_mutex_lock(&mu);
    if (kept_room()) {
        r->kept = 1;
        r->readers = 1;
        r->turn = ++turns;
        kept[count++] = r;
    }
    pthread_mutex_unlock(&mu);
    return r;
}

int share_open(pid_t pid, const unsigned char handle[SHARE_HANDLE], size_t bytes, int only_read,
               struct part *p, struct err *e)
{
    struct reading *r;
    uint64_t x[3];

    memcpy(x, handle, sizeof x);
    if (!(r = reading_take(pid, x, bytes, only_read, e)))
        return -1;
    if (block_use(r->at) != x[2]) {
        reading_end(r);
        return err_set(e, ERR_USE, "process %d uses the memory that came for something else by now",
                       (int)pid);
    }
    *p = (struct part){r->at + SHARE_HEAD, bytes, reading_end, r};
    return 0;
}
