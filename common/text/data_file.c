/* SPDX-License-Identifier: Apache-2.0 */
/* data_file - finds out what kind of data a file holds, and keeps what flows by only once. */
#include "data_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../base/fs.h"
#include "../base/mem.h"
#include "../base/sig.h"

enum { ROOM = 1 << 16 };

static int ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n >= m && strcmp(text + n - m, end) == 0;
}

/* The first byte that is no space, behind a byte order mark; 0 when there is none. */
static int first_byte(int fd)
{
    char head[256];
    ssize_t n = pread(fd, head, sizeof head, 0);
    size_t i = n >= 3 && !memcmp(head, "\xEF\xBB\xBF", 3) ? 3 : 0;

    while (n > 0 && i < (size_t)n && head[i] && strchr(" \t\r\n", head[i]))
        i++;
    return n > 0 && i < (size_t)n ? head[i] : 0;
}

/* The next bytes, 0 at the end; a signal that asks to stop ends the waiting. */
static ssize_t read_some(struct data_file *f, int fd, char *room, struct err *e)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = sig_fd(), .events = POLLIN}};

    for (;;) {
        ssize_t n = poll(p, 2, -1) > 0 && p[0].revents ? read(fd, room, ROOM) : -1;

        if (n >= 0)
            return n;
        if (sig_draining())
            return err_set(e, ERR_SYS, "stopped by a signal while '%s' was read", f->name);
        if (errno != EINTR)
            return err_sys(e, "cannot read '%s'", f->name);
    }
}

/* All that comes through the descriptor, in order. */
static int keep(struct data_file *f, int fd, struct err *e)
{
    char *room = mem_array(ROOM, 1, e);
    uint64_t at = 0;
    int rc = room && spill_make(&f->kept, e) == 0 ? 0 : -1;

    while (rc == 0) {
        ssize_t n = read_some(f, fd, room, e);

        if (n <= 0) {
            rc = (int)n;
            break;
        }
        rc = spill_write(&f->kept, room, (size_t)n, at, e);
        at += (uint64_t)n;
    }
    free(room);
    if (rc == 0 && !(f->path = mem_printf(e, "/proc/self/fd/%d", f->kept.fd)))
        rc = -1;
    return rc;
}

static int regular_open(struct data_file *f, const char *path, struct err *e)
{
    uint64_t bytes;
    int fd;

    if (!ends_with(path, ".txt") && !ends_with(path, ".jsonl"))
        return err_set(e, ERR_USE, "%s: data is a .txt or a .jsonl file%s", path,
                       ends_with(path, ".json")
                           ? " (one object a line: jq -c '.[]' makes that of a list)"
                           : "");
    f->lines = ends_with(path, ".jsonl");
    if ((fd = fs_open(path, &bytes, e)) < 0)
        return -1;
    close(fd);
    return (f->path = mem_text(path, e)) ? 0 : -1;
}

static int stream_open(struct data_file *f, const char *path, struct err *e)
{
    int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO, rc = -1;

    if (fd < 0) {
        err_sys(e, "cannot open '%s'", path);
        if (e)
            e->kind = ERR_USE;
        return -1;
    }
    rc = keep(f, fd, e);
    if (rc == 0)
        f->lines = ends_with(path, ".jsonl") ||
                   (!ends_with(path, ".txt") && first_byte(f->kept.fd) == '{');
    if (fd != STDIN_FILENO)
        close(fd);
    return rc;
}

int data_file_open(struct data_file *f, const char *path, struct err *e)
{
    struct stat st;
    int in = !strcmp(path, "-");

    *f = (struct data_file){.kept = SPILL_IN(spill_dir())};
    if (!(f->name = mem_text(in ? "standard input" : path, e)))
        return -1;
    if (!in && stat(path, &st) < 0)
        return regular_open(f, path, e);
    if (!in && S_ISDIR(st.st_mode))
        return err_set(e, ERR_USE, "cannot read '%s': Is a directory", path);
    if (in || !S_ISREG(st.st_mode))
        return stream_open(f, path, e);
    return regular_open(f, path, e);
}

void data_file_close(struct data_file *f)
{
    spill_close(&f->kept);
    free(f->name);
    free(f->path);
    *f = (struct data_file){.kept = SPILL_IN(NULL)};
}
