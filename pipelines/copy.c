/* SPDX-License-Identifier: Apache-2.0 */
/* copy - see copy.h. */
#include "copy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "../common/base/bytes.h"
#include "../common/base/fs.h"
#include "../common/base/mem.h"

#define PIECE ((size_t)1 << 20)
#define TRIES 2 /* for the contents of one file */

struct copy {
    const struct lent *l;
    char *path, *part, *lock; /* of the folder whole, while it grows, and of who makes it */
    int lock_fd, fd;          /* fd: of the file that is wanted; -1: it is not open */
    size_t number;
    uint64_t from;  /* bytes of it that are there */
    uint64_t whole; /* of the files before it */
    int tries;
    struct digest sum;
};

static char *folder(const char *dir, const struct lent *l, const char *end, struct err *e)
{
    char digest[DIGEST_TEXT];

    lent_digest(l, digest);
    return mem_printf(e, "%s/%s%s", dir, digest, end);
}

int copy_find(const char *dir, const struct lent *l, char **model, struct err *e)
{
    char *path = folder(dir, l, "", e);
    int rc = path ? fs_is_dir(path) : -1;

    if (rc == 1 && !(*model = lent_model(l, path, e)))
        rc = -1;
    free(path);
    return rc;
}

/* The name may have gone to another file while it was waited for: its holder had finished. */
static int lock_take(struct copy *c, struct err *e)
{
    struct stat held, named;

    if ((c->lock_fd = open(c->lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0)
        return err_sys(e, "cannot open '%s'", c->lock);
    if (flock(c->lock_fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? 0 : err_sys(e, "cannot lock '%s'", c->lock);
    return fstat(c->lock_fd, &held) == 0 && stat(c->lock, &named) == 0 &&
           held.st_ino == named.st_ino;
}

/* What is there of the file that is wanted, and its digest so far. */
static int file_open(struct copy *c, struct err *e)
{
    const struct lent_file *x = &c->l->file[c->number];
    char *path = mem_printf(e, "%s/%s.part", c->part, x->name), *room = NULL;
    struct stat st;
    int rc = -1;

    if (!path || fs_check_regular(path, e) < 0 || !(room = mem_raw(PIECE, 1, e)))
        goto out;
    c->from = 0;
    digest_start(&c->sum);
    if ((c->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0 ||
        fstat(c->fd, &st) != 0 || ((uint64_t)st.st_size > x->bytes && ftruncate(c->fd, 0) != 0)) {
        err_sys(e, "cannot go on with '%s'", path);
        goto out;
    }
    rc = 0;
    for (uint64_t there = (uint64_t)st.st_size > x->bytes ? 0 : (uint64_t)st.st_size;
         rc == 0 && c->from < there;) {
        const size_t n = there - c->from < PIECE ? (size_t)(there - c->from) : PIECE;

        if ((rc = fs_pread_all(c->fd, room, n, c->from, path, e)) == 0) {
            digest_add(&c->sum, room, n);
            c->from += n;
        }
    }
out:
    free(room);
    free(path);
    return rc;
}

static int file_publish(struct copy *c, struct err *e)
{
    const char *name = c->l->file[c->number].name;
    char *from = mem_printf(e, "%s/%s.part", c->part, name), *to = fs_join(c->part, name, e);
    int rc = from && to ? 0 : -1;

    if (rc == 0 && (fsync(c->fd) != 0 || rename(from, to) != 0))
        rc = err_sys(e, "cannot finish '%s'", to);
    close(c->fd);
    c->fd = -1;
    free(from);
    free(to);
    return rc;
}

/* 1: file c->number is there whole, of an earlier try. */
static int is_there(const struct copy *c, struct err *e)
{
    const struct lent_file *x = &c->l->file[c->number];
    char *path = fs_join(c->part, x->name, e);
    uint64_t bytes;
    int rc = path ? 0 : -1;

    if (path && fs_is_named(path))
        rc = fs_check_regular(path, e) < 0 || fs_size(path, &bytes, e) < 0 ? -1 : bytes == x->bytes;
    free(path);
    return rc;
}

/* Goes on to the next file that is not there whole: a whole one was checked. Of an empty one
 * nothing comes. */
static int settle(struct copy *c, struct err *e)
{
    while (c->number < c->l->count) {
        const struct lent_file *x = &c->l->file[c->number];
        char sum[DIGEST_TEXT];
        int there;

        if (c->fd < 0) {
            if ((there = is_there(c, e)) < 0)
                return -1;
            if (there) {
                c->whole += x->bytes;
                c->number++;
                continue;
            }
            if (file_open(c, e) < 0)
                return -1;
        }
        if (c->from < x->bytes)
            return 0;
        digest_end(&c->sum, sum);
        if (strcmp(sum, x->digest) != 0) {
            if (++c->tries == TRIES || !x->bytes)
                return err_set(e, ERR_DATA,
                               "file '%s' of the model came %d times and is not what the head "
                               "says it is (digest %.16s..., not %.16s...)",
                               x->name, TRIES, sum, x->digest);
            if (ftruncate(c->fd, 0) != 0)
                return err_sys(e, "cannot empty '%s' in '%s'", x->name, c->part);
            c->from = 0;
            digest_start(&c->sum);
            return 0;
        }
        if (file_publish(c, e) < 0)
            return -1;
        c->whole += x->bytes;
        c->from = 0;
        c->tries = 0;
        c->number++;
    }
    return 0;
}

/* Of what is missing; other copies and other programs may take it meanwhile. */
static int room_check(const struct copy *c, struct err *e)
{
    const uint64_t missing = c->l->bytes - copy_bytes(c);
    char a[BYTES_TEXT], b[BYTES_TEXT];
    struct statvfs v;
    uint64_t room;

    if (statvfs(c->part, &v) != 0)
        return err_sys(e, "cannot tell the room on the disk of '%s'", c->part);
    room = (uint64_t)v.f_bavail * v.f_frsize;
    if (room >= missing)
        return 0;
    return err_set(e, ERR_SYS,
                   "%s of the model are to come, but '%.200s' has room for %s: make room, or say "
                   "--cache DIR on another disk, or --model with a copy",
                   bytes_text((double)missing, a), c->part, bytes_text((double)room, b));
}

int copy_begin(const char *dir, const struct lent *l, struct copy **cp, struct err *e)
{
    struct copy *c = mem_array(1, sizeof *c, e);
    int rc = -1;

    *cp = NULL;
    if (!c)
        return -1;
    *c = (struct copy){.l = l, .lock_fd = -1, .fd = -1};
    if (fs_mkdir(dir, e) == 0 && (c->path = folder(dir, l, "", e)) &&
        (c->part = folder(dir, l, ".part", e)) && (c->lock = folder(dir, l, ".lock", e)))
        rc = lock_take(c, e);
    if (rc == 1 && (fs_mkdir(c->part, e) < 0 || settle(c, e) < 0 || room_check(c, e) < 0))
        rc = -1;
    if (rc == 1)
        *cp = c;
    else
        copy_close(&c);
    return rc;
}

uint64_t copy_bytes(const struct copy *c)
{
    return c->whole + c->from;
}

int copy_wants(const struct copy *c, size_t *number, uint64_t *from)
{
    *number = c->number;
    *from = c->from;
    return c->number < c->l->count;
}

int copy_take(struct copy *c, const void *data, size_t n, struct err *e)
{
    const struct lent_file *x = c->number < c->l->count ? &c->l->file[c->number] : NULL;
    char a[BYTES_TEXT], b[BYTES_TEXT];

    if (!x || n > x->bytes - c->from)
        return err_set(e, ERR_USE, "more bytes than file '%s' has", x ? x->name : "");
    if (fs_pwrite_all(c->fd, data, n, c->from, x->name, e) < 0)
        return err_prefix(e, "the copy of the model in '%.200s', %s of %s", c->part,
                          bytes_text((double)copy_bytes(c), a), bytes_text((double)c->l->bytes, b));
    digest_add(&c->sum, data, n);
    c->from += n;
    return settle(c, e);
}

int copy_finish(struct copy *c, struct err *e)
{
    if (fs_sync_dir(c->part, e) < 0)
        return -1;
    if (rename(c->part, c->path) != 0)
        return err_sys(e, "cannot rename '%s'", c->part);
    return fs_sync_path(c->path, e) < 0 ? -1 : 0;
}

void copy_close(struct copy **cp)
{
    struct copy *c = *cp;

    *cp = NULL;
    if (!c)
        return;
    if (c->fd >= 0)
        close(c->fd);
    if (c->path && c->lock_fd >= 0 && fs_is_dir(c->path))
        unlink(c->lock); /* nobody needs to make it any more */
    if (c->lock_fd >= 0)
        close(c->lock_fd);
    free(c->path);
    free(c->part);
    free(c->lock);
    free(c);
}
