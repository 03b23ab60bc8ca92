/* SPDX-License-Identifier: Apache-2.0 */
/* share_open - see share.h: those who read. */
#include <errno.h>
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
#include "share.h"
#include "share_parts.h"

#define READINGS 64 /* that stay: each takes a descriptor */

/* A handle, and whose it is. */
struct named {
    pid_t pid;
    uint64_t fd, node, use;
};

struct reading {
    struct named name;
    char *at; /* of the head */
    size_t room;
    int fd;
    int stays, idle; /* under mu */
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER; /* all below */
static struct reading *readings[READINGS];             /* those last released behind */
static size_t count;

static struct named name_of(pid_t pid, const unsigned char handle[SHARE_HANDLE])
{
    uint64_t x[3];

    memcpy(x, handle, sizeof x);
    return (struct named){pid, x[0], x[1], x[2]};
}

/* The device on which all such files of this system lie; 0 is none that a handle can name. */
static dev_t device(void)
{
    static dev_t known;
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
 * *room: bytes behind the head. */
static int block_open(const struct named *n, size_t bytes, size_t *room)
{
    char path[64];
    struct stat st;
    int fd, seals;

    if (n->fd > INT32_MAX ||
        snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)n->pid, (int)n->fd) < 0 ||
        stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_dev != device() ||
        st.st_ino != n->node)
        return -1;
    if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) < 0)
        return -1;
    seals = fcntl(fd, F_GET_SEALS);
    if (seals >= 0 && (seals & F_SEAL_SHRINK) && fstat(fd, &st) == 0 && st.st_dev == device() &&
        st.st_ino == n->node && st.st_size >= SHARE_HEAD &&
        bytes <= (size_t)st.st_size - SHARE_HEAD && share_lock(fd, F_RDLCK) == 0) {
        *room = (size_t)st.st_size - SHARE_HEAD;
        return fd;
    }
    close(fd);
    return -1;
}

static void reading_drop(struct reading *r)
{
    if (r->at != MAP_FAILED)
        munmap(r->at, SHARE_HEAD + r->room);
    if (r->fd >= 0)
        close(r->fd); /* and with it the lock */
    free(r);
}

static int named_no_more(const struct named *n, struct err *e)
{
    return err_set(e, ERR_USE, "process %d uses the memory that came for something else by now",
                   (int)n->pid);
}

/* Locked and mapped, this use or none. To be read: all of the block, which may be used for more. */
static struct reading *reading_make(const struct named *n, size_t bytes, enum share_as as,
                                    struct err *e)
{
    struct reading *r = mem_array(1, sizeof *r, e);
    const int write = as == SHARE_TO_WRITE;

    if (!r)
        return NULL;
    r->name = *n;
    r->at = MAP_FAILED;
    r->fd = block_open(n, bytes, &r->room);
    if (write)
        r->room = bytes;
    if (r->fd < 0)
        err_set(e, ERR_USE, "process %d has no memory for us by the name that came", (int)n->pid);
    else if ((r->at = mmap(NULL, SHARE_HEAD + r->room, write ? PROT_READ | PROT_WRITE : PROT_READ,
                           write ? MAP_PRIVATE : MAP_SHARED, r->fd, 0)) == MAP_FAILED)
        err_sys(e, "cannot map %zu bytes of process %d", r->room, (int)n->pid);
    else if (share_use(r->at) != n->use)
        named_no_more(n, e);
    else
        return r;
    reading_drop(r);
    return NULL;
}

/* ---- those that stay ---- */

/* Under mu. */
static struct reading *reading_take(size_t i)
{
    struct reading *r = readings[i];

    count--;
    memmove(&readings[i], &readings[i + 1], (count - i) * sizeof readings[0]);
    return r;
}

/* Under mu: idle ones go whose block is gone, and the oldest where they have too many bytes. */
static void readings_trim(void)
{
    size_t bytes = 0;

    for (size_t i = count; i-- > 0;)
        if (!readings[i]->idle)
            continue;
        else if (bytes + readings[i]->room > SHARE_MAPPED ||
                 share_use(readings[i]->at) == SHARE_GONE)
            reading_drop(reading_take(i));
        else
            bytes += readings[i]->room;
}

static void reading_end(void *owner)
{
    struct reading *r = owner;

    pthread_mutex_lock(&mu);
    if (!r->stays) {
        reading_drop(r);
    } else {
        for (size_t i = 0; i < count; i++)
            if (readings[i] == r)
                reading_take(i);
        readings[count++] = r;
        r->idle = 1;
        share_lock(r->fd, F_UNLCK);
    }
    readings_trim();
    pthread_mutex_unlock(&mu);
}

/* Under mu: an idle one of this block, in use again; NULL: there is none. */
static struct reading *reading_find(const struct named *n, size_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        struct reading *r = readings[i];

        if (r->idle && r->name.pid == n->pid && r->name.fd == n->fd && r->name.node == n->node &&
            bytes <= r->room && share_lock(r->fd, F_RDLCK) == 0) {
            r->idle = 0;
            return r;
        }
    }
    return NULL;
}

/* Under mu: what idle ones hold of processes that were killed is nobody's any more. */
static void readings_bury(void)
{
    for (size_t i = count; i-- > 0;)
        if (readings[i]->idle && kill(readings[i]->name.pid, 0) < 0 && errno == ESRCH)
            reading_drop(reading_take(i));
}

/* It is to stay where there is place. */
static void reading_keep(struct reading *r)
{
    pthread_mutex_lock(&mu);
    readings_bury();
    if (count < share_most(READINGS)) {
        r->stays = 1;
        readings[count++] = r;
    }
    pthread_mutex_unlock(&mu);
}

int share_open(pid_t pid, const unsigned char handle[SHARE_HANDLE], size_t bytes, enum share_as as,
               struct part *p, struct err *e)
{
    const struct named n = name_of(pid, handle);
    struct reading *r;

    pthread_mutex_lock(&mu);
    r = as == SHARE_TO_READ ? reading_find(&n, bytes) : NULL;
    pthread_mutex_unlock(&mu);
    if (r && share_use(r->at) != n.use) {
        reading_end(r);
        return named_no_more(&n, e);
    }
    if (!r) {
        if (!(r = reading_make(&n, bytes, as, e)))
            return -1;
        if (as == SHARE_TO_READ)
            reading_keep(r);
    }
    *p = (struct part){r->at + SHARE_HEAD, bytes, reading_end, r};
    return 0;
}
