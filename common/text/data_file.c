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
#include "unpack.h"

enum { ROOM = 1 << 16 };

enum ending { END_NONE, END_TXT, END_JSONL, END_JSON };

/* Whether the name ends so, of its first *n characters. */
static int ends_with(const char *text, size_t n, const char *end)
{
    size_t m = strlen(end);

    return n >= m && !memcmp(text + n - m, end, m);
}

/* *packed: what the name says of it. */
static enum ending ending_of(const char *path, enum unpack_kind *packed)
{
    size_t n = strlen(path);

    *packed = ends_with(path, n, ".gz")    ? UNPACK_GZIP
              : ends_with(path, n, ".zst") ? UNPACK_ZSTD
                                           : UNPACK_NONE;
    n -= *packed == UNPACK_GZIP ? 3 : *packed == UNPACK_ZSTD ? 4 : 0;
    return ends_with(path, n, ".txt")     ? END_TXT
           : ends_with(path, n, ".jsonl") ? END_JSONL
           : ends_with(path, n, ".json")  ? END_JSON
                                          : END_NONE;
}

/* The first two bytes that are no space, behind a byte order mark; 0 where there is none. */
static void first_bytes(int fd, char two[2])
{
    char head[256];
    ssize_t n = pread(fd, head, sizeof head, 0);
    size_t i = n >= 3 && !memcmp(head, "\xEF\xBB\xBF", 3) ? 3 : 0, k = 0;

    two[0] = two[1] = 0;
    for (; n > 0 && i < (size_t)n && k < 2; i++)
        if (!head[i] || !strchr(" \t\r\n", head[i]))
            two[k++] = head[i];
}

/* A list of objects or texts, which a text could begin with only by chance. */
static int is_list(const char two[2])
{
    return two[0] == '[' && (two[1] == '{' || two[1] == '"' || two[1] == ']');
}

static void kind_set(struct data_file *f, enum ending ending, int fd)
{
    char two[2];

    first_bytes(fd, two);
    f->kind = ending == END_TXT || ending == END_JSONL
                  ? (ending == END_TXT ? DATA_TEXT : DATA_LINES)
              : ending == END_JSON ? (two[0] == '[' ? DATA_LIST : DATA_LINES)
              : two[0] == '{'      ? DATA_LINES
              : is_list(two)       ? DATA_LIST
                                   : DATA_TEXT;
}

static int parquet_refuse(const char *name, struct err *e)
{
    return err_set(e, ERR_USE,
                   "%s: parquet is not read here; either of these makes a .jsonl of it:\n"
                   "    duckdb -c \"COPY (FROM '%.120s') TO 'data.jsonl'\"\n"
                   "    python3 -c \"import pandas; pandas.read_parquet('%.120s')"
                   ".to_json('data.jsonl', orient='records', lines=True)\"",
                   name, name, name);
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

struct keep {
    struct data_file *f;
    uint64_t at;
};

static int keep_put(void *ctx, const void *data, size_t n, struct err *e)
{
    struct keep *k = ctx;

    if (spill_write(&k->f->kept, data, n, k->at, e) < 0)
        return -1;
    k->at += n;
    return 0;
}

/* The first bytes, all that tell what it is: fewer at the end alone. */
static ssize_t read_head(struct data_file *f, int fd, char *room, struct err *e)
{
    ssize_t have = 0, n = 1;

    while (have < UNPACK_HEAD && n > 0) {
        if ((n = read_some(f, fd, room + have, e)) < 0)
            return -1;
        have += n;
    }
    return have;
}

/* All that comes through the descriptor, in order, unpacked. said: by the name. */
static int keep(struct data_file *f, int fd, enum unpack_kind said, struct err *e)
{
    char *room = mem_array(ROOM + UNPACK_HEAD, 1, e);
    struct keep to = {.f = f};
    struct unpack *u = NULL;
    enum unpack_kind kind;
    ssize_t n = room && spill_make(&f->kept, e) == 0 ? read_head(f, fd, room, e) : -1;
    int rc = n < 0 ? -1 : 0;

    kind = rc == 0 ? unpack_kind_of(room, (size_t)n) : UNPACK_NONE;
    if (rc == 0 && n == UNPACK_HEAD && !memcmp(room, "PAR1", 4))
        rc = parquet_refuse(f->name, e);
    else if (rc == 0 && said != UNPACK_NONE && kind != said)
        rc = err_set(e, ERR_USE, "%s: what it holds is not packed as its name says (%s)", f->name,
                     said == UNPACK_GZIP ? "gzip" : "zstd");
    if (rc == 0 && kind != UNPACK_NONE && !(u = unpack_open(kind, f->name, e)))
        rc = -1;
    while (rc == 0 && n > 0) {
        rc = u ? unpack_feed(u, room, (size_t)n, keep_put, &to, e)
               : keep_put(&to, room, (size_t)n, e);
        if (rc == 0 && (n = read_some(f, fd, room, e)) < 0)
            rc = -1;
    }
    if (rc == 0 && u)
        rc = unpack_end(u, e);
    unpack_close(&u);
    free(room);
    if (rc == 0 && !(f->path = mem_printf(e, "/proc/self/fd/%d", f->kept.fd)))
        rc = -1;
    return rc;
}

static int regular_open(struct data_file *f, const char *path, struct err *e)
{
    enum unpack_kind said;
    enum ending ending = ending_of(path, &said);
    char head[UNPACK_HEAD] = "";
    uint64_t bytes;
    ssize_t n;
    int fd, rc = 0;

    if (ends_with(path, strlen(path), ".parquet"))
        return parquet_refuse(path, e);
    if (ending == END_NONE)
        return err_set(e, ERR_USE,
                       "%s: data is a .txt, .jsonl or .json file, each also as .gz or .zst", path);
    if ((fd = fs_open(path, &bytes, e)) < 0)
        return -1;
    n = pread(fd, head, sizeof head, 0);
    if (said != UNPACK_NONE || (n > 0 && unpack_kind_of(head, (size_t)n) != UNPACK_NONE)) {
        rc = keep(f, fd, said, e);
        if (rc == 0)
            kind_set(f, ending, f->kept.fd);
    } else {
        kind_set(f, ending, fd);
        rc = (f->path = mem_text(path, e)) ? 0 : -1;
    }
    close(fd);
    return rc;
}

static int stream_open(struct data_file *f, const char *path, struct err *e)
{
    int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO, rc = -1;
    enum unpack_kind said;
    enum ending ending = ending_of(path, &said);

    if (fd < 0) {
        err_sys(e, "cannot open '%s'", path);
        if (e)
            e->kind = ERR_USE;
        return -1;
    }
    rc = keep(f, fd, said, e);
    if (rc == 0)
        kind_set(f, ending, f->kept.fd);
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
