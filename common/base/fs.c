/* SPDX-License-Identifier: Apache-2.0 */
/* fs - files and folders with checked writes. */
#include "fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "mem.h"
#include "plural.h"

#define LINKS_MAX 40
#define TEMP_TRIES 100

/* A file the user named and that cannot be opened is wrong input; anything else is the system's
 * fault. */
static int open_failed(const char *what, const char *path, struct err *e)
{
    enum err_kind kind = ERR_SYS;
    char to[256];
    ssize_t n = errno == ENOENT ? readlink(path, to, sizeof to) : -1;

    if (n >= 0) /* as in a cache of downloads that lost a file */
        return err_set(e, ERR_USE,
                       "cannot %s '%s': it is a link to '%.*s', which is not there; download it "
                       "again",
                       what, path, (int)n, to);
    if (errno == ENOENT || errno == EACCES || errno == ENOTDIR || errno == EISDIR ||
        errno == EEXIST)
        kind = ERR_USE;
    err_sys(e, "cannot %s '%s'", what, path);
    if (e)
        e->kind = kind;
    return -1;
}

char *fs_join(const char *dir, const char *name, struct err *e)
{
    size_t n = strlen(dir);

    return mem_printf(e, "%s%s%s", dir, n && dir[n - 1] != '/' ? "/" : "", name);
}

/* Reads until the end into a buffer that grows: sizes of pipes and of /proc are not known
 * before. */
static char *read_rest(int fd, const char *path, size_t max, size_t guess, size_t *length,
                       struct err *e)
{
    char *text = NULL;
    size_t cap = 0, used = 0;

    for (;;) {
        size_t want = used ? used + used / 2 + 4096 : guess;
        ssize_t got;

        if (mem_grow((void **)&text, &cap, want + 2, 1, e) < 0)
            goto fail;
        got = read(fd, text + used, cap - 1 - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            open_failed("read", path, e);
            goto fail;
        }
        if (got == 0)
            break;
        used += (size_t)got;
        if (used > max) {
            err_set(e, ERR_USE, "'%s' has more than the %zu bytes it may have", path, max);
            goto fail;
        }
    }
    text[used] = 0;
    *length = used;
    return text;
fail:
    free(text);
    return NULL;
}

/* What git leaves in place of a large file where git-lfs is not installed. */
static int pointer_refuse(const char *text, size_t n, const char *path, struct err *e)
{
    static const char head[] = "version https://git-lfs.github.com/spec/";

    if (n < sizeof head - 1 || memcmp(text, head, sizeof head - 1))
        return 0;
    return err_set(e, ERR_USE,
                   "'%s' is a Git LFS pointer, not the file itself: fetch that with 'git lfs "
                   "pull', or download it again",
                   path);
}

char *fs_read(const char *path, size_t max, size_t *length, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *text = NULL;
    size_t n = 0;

    if (fd < 0) {
        open_failed("open", path, e);
        return NULL;
    }
    if (fstat(fd, &st) < 0)
        err_sys(e, "cannot look at '%s'", path);
    else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > max)
        err_set(e, ERR_USE, "'%s' has more than the %zu bytes it may have", path, max);
    else
        text = read_rest(fd, path, max, S_ISREG(st.st_mode) ? (size_t)st.st_size : 4096, &n, e);
    close(fd);
    if (text && pointer_refuse(text, n, path, e) < 0) {
        free(text);
        return NULL;
    }
    if (text && length)
        *length = n;
    return text;
}

int fs_size(const char *path, uint64_t *bytes, struct err *e)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return open_failed("look at", path, e);
    *bytes = (uint64_t)st.st_size;
    return 0;
}

int fs_mkdir(const char *path, struct err *e)
{
    char *part = fs_check_dash(path, e) < 0 ? NULL : mem_text(path, e), *slash;
    int rc = -1;

    if (!part)
        return -1;
    for (slash = part + (*part == '/'); (slash = strchr(slash, '/')); *slash++ = '/') {
        *slash = 0;
        if (*part && mkdir(part, 0777) < 0 && errno != EEXIST && errno != EROFS) {
            open_failed("make folder", part, e);
            goto out;
        }
    }
    if (mkdir(part, 0777) < 0 && !(errno == EEXIST && fs_is_dir(part))) {
        open_failed("make folder", part, e);
        goto out;
    }
    rc = 0;
out:
    free(part);
    return rc;
}

int fs_empty_dir(const char *path, int *empty, struct err *e)
{
    char **names;
    size_t count;

    if (fs_list(path, &names, &count, e) < 0)
        return -1;
    *empty = count == 0;
    fs_names_free(&names, count);
    return 0;
}

int fs_remove_tree(const char *path, struct err *e)
{
    struct stat st;
    char **names;
    size_t count;
    int rc = 0;

    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : err_sys(e, "cannot look at '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return unlink(path) < 0 ? err_sys(e, "cannot remove '%s'", path) : 0;
    if (fs_list(path, &names, &count, e) < 0)
        return -1;
    for (size_t i = 0; i < count && rc == 0; i++) {
        char *child = fs_join(path, names[i], e);

        rc = child ? fs_remove_tree(child, e) : -1;
        free(child);
    }
    fs_names_free(&names, count);
    if (rc == 0 && rmdir(path) < 0)
        rc = err_sys(e, "cannot remove '%s'", path);
    return rc;
}

int fs_write_all(int fd, const void *data, size_t n, const char *what, struct err *e)
{
    const char *p = data;

    while (n) {
        ssize_t put = write(fd, p, n);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_sys(e, "cannot write %s", what);
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

int fs_pwrite_all(int fd, const void *data, size_t n, uint64_t at, const char *what, struct err *e)
{
    const char *p = data;

    while (n) {
        ssize_t put = pwrite(fd, p, n, (off_t)at);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return err_sys(e, "cannot write %s", what);
        p += put;
        n -= (size_t)put;
        at += (uint64_t)put;
    }
    return 0;
}

int fs_flush(FILE *f, struct err *e)
{
    const char *what = f == stdout ? "standard output" : "a file";

    if (fflush(f) != 0)
        return err_sys(e, "cannot write to %s", what);
    return ferror(f) ? err_set(e, ERR_SYS, "cannot write to %s", what) : 0;
}

int fs_pread_all(int fd, void *data, size_t n, uint64_t at, const char *what, struct err *e)
{
    char *p = data;

    while (n) {
        ssize_t got = pread(fd, p, n, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(e, "cannot read %s", what);
        if (got == 0)
            return err_set(e, ERR_USE, "%s is truncated: %zu byte%s missing", what, n,
                           plural_word(n, " is", "s are"));
        p += got;
        n -= (size_t)got;
        at += (uint64_t)got;
    }
    return 0;
}

/* Folder of a path: "." when there is no slash. */
static char *parent(const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    char *dir;

    if (!slash)
        return mem_text(".", e);
    dir = mem_text(path, e);
    if (dir)
        dir[slash == path ? 1 : slash - path] = 0;
    return dir;
}

int fs_sync_dir(const char *path, struct err *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

    if (fd < 0)
        return open_failed("open folder", path, e);
    if (fsync(fd) < 0 && errno != EINVAL) /* some file systems cannot sync a folder */
        rc = err_sys(e, "cannot sync folder '%s'", path);
    close(fd);
    return rc;
}

int fs_sync_path(const char *path, struct err *e)
{
    char *real, *slash;

    if (fs_sync_dir(path, e) < 0)
        return -1;
    if (!(real = realpath(path, NULL)))
        return err_sys(e, "cannot look at '%s'", path);
    while ((slash = strrchr(real, '/')) && real[1]) {
        slash[slash == real] = '\0';
        fs_sync_dir(real, NULL);
    }
    free(real);
    return 0;
}

/* What a link at `at` leads to: 1 and *to, 0 when it is none (or nothing is there), -1. Links below
 * /proc stand for open descriptors, not for names. */
static int link_step(const char *at, char **to, int *through, struct err *e)
{
    char text[PATH_MAX], *dir;
    ssize_t n = readlink(at, text, sizeof text - 1);
    struct statfs fs;

    if (n < 0)
        return errno == EINVAL || errno == ENOENT ? 0 : open_failed("write", at, e);
    text[n] = 0;
    if (!(dir = parent(at, e)))
        return -1;
    *through = statfs(dir, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
    *to = *through ? NULL : text[0] == '/' ? mem_text(text, e) : fs_join(dir, text, e);
    free(dir);
    return *through ? 0 : *to ? 1 : -1;
}

/* The name behind all links; *through: it must be opened as it is. Caller frees. */
static char *link_target(const char *path, int *through, struct err *e)
{
    char *at = mem_text(path, e), *to;

    *through = 0;
    for (int hops = 0; at; hops++) {
        int r = hops < LINKS_MAX ? link_step(at, &to, through, e)
                                 : err_set(e, ERR_USE, "cannot write '%s': too many links", path);

        if (r == 0)
            return at;
        free(at);
        at = r > 0 ? to : NULL;
    }
    return NULL;
}

/* A new file beside o->path. */
static int temp_open(struct fs_out *o, mode_t mode, struct err *e)
{
    for (int i = 0; i < TEMP_TRIES; i++) {
        o->temp = mem_printf(e, "%s.tmp.%ld.%d", o->path, (long)getpid(), i);
        if (!o->temp)
            return -1;
        o->fd = open(o->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (o->fd >= 0) {
            if (mode && fchmod(o->fd, mode & 0777) < 0)
                return err_sys(e, "cannot set the mode of '%s'", o->temp);
            return 0;
        }
        if (errno != EEXIST)
            break;
        free(o->temp);
    }
    open_failed("write", o->path, e);
    free(o->temp); /* not ours to remove */
    o->temp = NULL;
    return -1;
}

int fs_out_open(struct fs_out *o, const char *path, struct err *e)
{
    struct stat st = {0};
    int rc;

    *o = (struct fs_out){.fd = -1};
    if (fs_check_dash(path, e) < 0)
        return -1;
    if (!(o->path = link_target(path, &o->through, e)))
        return -1;
    o->there = stat(o->path, &st) == 0;
    o->through |= o->there && !S_ISREG(st.st_mode);
    if (S_ISDIR(st.st_mode))
        errno = EISDIR;
    if (S_ISDIR(st.st_mode) || (!o->there && errno != ENOENT) ||
        (o->there && access(o->path, W_OK) < 0))
        rc = open_failed("write", path, e);
    else if (!o->through)
        rc = temp_open(o, st.st_mode, e);
    else if ((o->fd = open(o->path, O_WRONLY | O_APPEND | O_CLOEXEC)) < 0)
        rc = open_failed("write", path, e);
    else
        rc = 0;
    if (rc < 0)
        fs_out_drop(o);
    return rc;
}

void fs_out_drop(struct fs_out *o)
{
    int saved = errno;

    if (o->fd >= 0)
        close(o->fd);
    if (o->temp)
        unlink(o->temp);
    free(o->temp);
    free(o->path);
    *o = (struct fs_out){.fd = -1};
    errno = saved;
}

/* 0 durable, -1; a pipe or a device may have nothing to sync. */
static int out_sync(struct fs_out *o, struct err *e)
{
    const char *name = o->temp ? o->temp : o->path;
    int rc = 0, fd = o->fd;

    if (fsync(fd) < 0 && (!o->through || (errno != EINVAL && errno != EROFS && errno != ENOTSUP)))
        rc = err_sys(e, "cannot sync '%s'", name);
    o->fd = -1;
    if (close(fd) < 0 && rc == 0)
        rc = err_sys(e, "cannot close '%s'", name);
    return rc;
}

int fs_out_show(struct fs_out *o, struct err *e)
{
    int rc = o->temp && rename(o->temp, o->path) < 0 ? -1 : 0;

    if (rc < 0)
        err_sys(e, "cannot rename '%s', which keeps the data, to '%s'", o->temp, o->path);
    free(o->temp);
    o->temp = NULL;
    return rc;
}

int fs_out_finish(struct fs_out *o, struct err *e)
{
    int rc = out_sync(o, e);
    char *dir = NULL;

    if (rc == 0 && !o->through)
        rc = (dir = parent(o->path, e)) && fs_out_show(o, e) == 0 ? fs_sync_dir(dir, e) : -1;
    free(dir);
    fs_out_drop(o);
    return rc;
}

int fs_publish(const char *path, const void *data, size_t n, struct err *e)
{
    struct fs_out o;

    if (fs_out_open(&o, path, e) < 0)
        return -1;
    if (fs_write_all(o.fd, data, n, path, e) == 0)
        return fs_out_finish(&o, e);
    fs_out_drop(&o);
    return -1;
}

static int copy_bytes(int in, int out, const char *from, const char *to, struct err *e)
{
    enum { ROOM = 1 << 18 };
    char *room = mem_array(ROOM, 1, e);
    int rc = room ? 0 : -1;

    while (rc == 0) {
        ssize_t got = read(in, room, ROOM);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rc = open_failed("read", from, e);
        if (got <= 0)
            break;
        rc = fs_write_all(out, room, (size_t)got, to, e);
    }
    free(room);
    return rc;
}

int fs_copy(const char *from, const char *to, struct err *e)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), rc = -1;
    struct fs_out o;

    if (in < 0)
        return open_failed("open", from, e);
    if (fs_out_open(&o, to, e) == 0) {
        rc = copy_bytes(in, o.fd, from, to, e);
        if (rc == 0)
            rc = fs_out_finish(&o, e);
        else
            fs_out_drop(&o);
    }
    close(in);
    return rc;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int fs_list(const char *dir, char ***names, size_t *count, struct err *e)
{
    DIR *d = opendir(dir);
    struct dirent *x;
    char **list = NULL;
    size_t n = 0, cap = 0;
    int rc = -1;

    if (!d)
        return open_failed("open folder", dir, e);
    while ((errno = 0, x = readdir(d))) {
        if (!strcmp(x->d_name, ".") || !strcmp(x->d_name, ".."))
            continue;
        if (mem_grow((void **)&list, &cap, n + 1, sizeof *list, e) < 0 ||
            !(list[n] = mem_text(x->d_name, e)))
            goto out;
        n++;
    }
    if (errno) {
        err_sys(e, "cannot list folder '%s'", dir);
        goto out;
    }
    if (n)
        qsort(list, n, sizeof *list, by_bytes);
    rc = 0;
out:
    closedir(d);
    if (rc < 0) {
        fs_names_free(&list, n);
        return -1;
    }
    *names = list;
    *count = n;
    return 0;
}

void fs_names_free(char ***names, size_t count)
{
    if (!names || !*names)
        return;
    for (size_t i = 0; i < count; i++)
        free((*names)[i]);
    free(*names);
    *names = NULL;
}

int fs_open(const char *path, uint64_t *bytes, struct err *e)
{
    struct stat st;
    char head[64];
    ssize_t n;
    int fd;

    if (fs_size(path, bytes, e)) /* says best why there is nothing to open */
        return -1;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block here */
    if (fd < 0 || fstat(fd, &st)) {
        err_sys(e, "cannot open '%s'", path);
        if (e && errno == EACCES)
            e->kind = ERR_USE;
    } else if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_USE, "'%s' is not a regular file", path);
    } else {
        *bytes = (uint64_t)st.st_size;
        n = pread(fd, head, sizeof head, 0);
        if (n < 0 || pointer_refuse(head, (size_t)n, path, e) == 0)
            return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

int fs_check_pointer(const char *path, struct err *e)
{
    char head[64];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const ssize_t n = fd < 0 ? -1 : pread(fd, head, sizeof head, 0);

    if (fd >= 0)
        close(fd);
    return n < 0 ? 0 : pointer_refuse(head, (size_t)n, path, e);
}
