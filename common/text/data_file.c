/* SPDX-License-Identifier: Apache-2.0 */
/* data_file - finds out what kind of data a file holds, and keeps what flows by only once. */
#include "data_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "../base/bytes.h"
#include "../base/fs.h"
#include "../base/hash.h"
#include "../base/log.h"
#include "../base/mem.h"
#include "../base/plural.h"
#include "../base/sig.h"
#include "unicode.h"
#include "unpack.h"

enum { ROOM = 1 << 16 };
#define LOOK_BYTES (64 << 20) /* after so many more the room on disk is looked at */
#define FLOOR_BYTES 1073741824.0
#define PARQUET ".parquet"
#define PARQUET_MARK "PAR1" /* at both ends */

enum ending { END_NONE, END_TXT, END_JSONL, END_JSON, END_PARQUET };

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
    return ends_with(path, n, ".txt")                              ? END_TXT
           : ends_with(path, n, ".jsonl")                          ? END_JSONL
           : ends_with(path, n, ".json")                           ? END_JSON
           : *packed == UNPACK_NONE && ends_with(path, n, PARQUET) ? END_PARQUET
                                                                   : END_NONE;
}

/* The first two bytes that are no space, behind byte order marks; 0 where there is none. */
static void first_bytes(int fd, char two[2])
{
    char head[256];
    ssize_t n = pread(fd, head, sizeof head, 0);
    size_t left = n > 0 ? (size_t)n : 0, k = 0;
    const char *at = unicode_behind_marks(head, &left);

    two[0] = two[1] = 0;
    for (size_t i = 0; i < left && k < 2; i++)
        if (!at[i] || !strchr(" \t\r\n", at[i]))
            two[k++] = at[i];
}

/* A list of objects or texts, which a text could begin with only by chance. */
static int is_list(const char two[2])
{
    return two[0] == '[' && (two[1] == '{' || two[1] == '"' || two[1] == ']');
}

static int is_parquet(int fd)
{
    char mark[4];

    return pread(fd, mark, sizeof mark, 0) == sizeof mark &&
           memcmp(mark, PARQUET_MARK, sizeof mark) == 0;
}

static void kind_set(struct data_file *f, enum ending ending, int fd)
{
    char two[2];

    first_bytes(fd, two);
    f->kind = ending == END_PARQUET || (ending == END_NONE && is_parquet(fd)) ? DATA_ROWS
              : ending == END_TXT || ending == END_JSONL
                  ? (ending == END_TXT ? DATA_TEXT : DATA_LINES)
              : ending == END_JSON ? (two[0] == '[' ? DATA_LIST : DATA_LINES)
              : two[0] == '{'      ? DATA_LINES
              : is_list(two)       ? DATA_LIST
                                   : DATA_TEXT;
}

/* The next bytes, 0 at the end; a signal that asks to stop ends the waiting. */
static ssize_t read_some(struct data_file *f, int fd, char *room, struct err *e)
{
    struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = sig_fd(), .events = POLLIN}};

    for (;;) {
        const int ready = poll(p, 2, -1);
        const ssize_t n = ready > 0 && p[0].revents && !sig_draining() ? read(fd, room, ROOM) : -1;

        if (n >= 0)
            return n;
        if (sig_draining()) /* also where there is always more to read */
            return err_set(e, ERR_SYS, "stopped by a signal while '%s' was read", f->name);
        if (errno != EINTR)
            return err_sys(e, "cannot read '%s'", f->name);
    }
}

struct keep {
    struct data_file *f;
    uint64_t at, looked; /* looked: where the room on disk was last looked at */
};

/* What has no end is not to fill the disk for everybody. */
static int room_check(struct keep *k, struct err *e)
{
    char a[BYTES_TEXT];
    struct statvfs v;

    if (k->at - k->looked < LOOK_BYTES)
        return 0;
    k->looked = k->at;
    if (fstatvfs(k->f->kept.fd, &v) < 0 || (double)v.f_bavail * (double)v.f_frsize > FLOOR_BYTES)
        return 0;
    return err_set(e, ERR_SYS,
                   "%s: %s of it are kept in '%s', which has less than 1 GiB left: give less "
                   "of it (head -c), or a larger disk (TMPDIR)",
                   k->f->name, bytes_text((double)k->at, a), k->f->kept.dir);
}

static int keep_put(void *ctx, const void *data, size_t n, struct err *e)
{
    struct keep *k = ctx;

    if (room_check(k, e) < 0 || spill_write(&k->f->kept, data, n, k->at, e) < 0)
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

/* /dev/zero and its like give for ever; a terminal is somebody who types. */
static int device_check(const struct data_file *f, int fd, struct err *e)
{
    struct stat st;

    if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) && !isatty(fd))
        return err_set(e, ERR_USE, "%s is a device, not data", f->name);
    return 0;
}

/* All that comes through the descriptor, in order, unpacked. said: by the name. */
static int keep(struct data_file *f, int fd, enum unpack_kind said, struct err *e)
{
    char *room = mem_array(ROOM + UNPACK_HEAD, 1, e);
    struct keep to = {.f = f};
    struct unpack *u = NULL;
    enum unpack_kind kind;
    ssize_t n = room && spill_make(&f->kept, e) == 0 ? read_head(f, fd, room, e) : -1;
    int rc = n < 0 || (n > 0 && device_check(f, fd, e) < 0) ? -1 : 0;

    kind = rc == 0 ? unpack_kind_of(room, (size_t)n) : UNPACK_NONE;
    if (rc == 0 && said != UNPACK_NONE && kind != said)
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

    if (ending == END_NONE)
        return err_set(e, ERR_USE,
                       "%s: data is a .txt, .jsonl or .json file, each also as .gz or .zst, a "
                       ".parquet file, or a folder of such",
                       path);
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

/* The names in a folder that end so; *count of them, in front. */
static void names_keep(char **names, size_t *count, enum ending wanted)
{
    size_t n = 0;

    for (size_t i = 0; i < *count; i++) {
        enum unpack_kind packed;
        char *name = names[i];

        if (name[0] == '.' || ending_of(name, &packed) != wanted)
            continue;
        names[i] = names[n];
        names[n++] = name;
    }
    *count = n;
}

static int has(char *const *names, size_t count, enum ending wanted)
{
    enum unpack_kind packed;

    for (size_t i = 0; i < count; i++)
        if (names[i][0] != '.' && ending_of(names[i], &packed) == wanted)
            return 1;
    return 0;
}

/* What of a folder is not read though it may be meant as data: of other kinds, and folders. */
static int left_out_say(const char *dir, char *const *names, size_t count, enum ending taken,
                        struct err *e)
{
    static const char *const kind[] = {"folder", ".txt", ".jsonl", ".json", PARQUET};
    size_t n[END_PARQUET + 1] = {0}, at = 0; /* n[END_NONE]: folders */
    char text[160] = "";

    for (size_t i = 0; i < count; i++) {
        enum unpack_kind packed;
        const enum ending ending = ending_of(names[i], &packed);
        char *path;

        if (names[i][0] == '.' || ending == taken)
            continue;
        if (!(path = fs_join(dir, names[i], e)))
            return -1;
        n[ending] += ending != END_NONE || fs_is_dir(path);
        free(path);
    }
    for (size_t k = END_NONE; k <= END_PARQUET; k++)
        if (n[k])
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%zu %s%s", at ? ", " : "", n[k],
                                   kind[k], k == END_NONE ? plural_s(n[k]) : "");
    if (at)
        log_warn("--data: of '%s' only the %s files are read; left out: %s", dir, kind[taken],
                 text);
    return 0;
}

static int parts_open(struct data_file *f, const char *dir, char *const *names, size_t count,
                      struct err *e)
{
    if (!(f->part = mem_array(count + 1, sizeof *f->part, e)))
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct data_file *part = &f->part[f->parts++];
        char *path = fs_join(dir, names[i], e);
        int rc = -1;

        *part = (struct data_file){.kept = SPILL_IN(spill_dir())};
        if (path && fs_is_dir(path))
            err_set(e, ERR_USE, "'%s' is a folder: a folder of data holds files", path);
        else if (path && (part->name = mem_text(path, e)))
            rc = regular_open(part, path, e);
        free(path);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int folder_open(struct data_file *f, const char *dir, struct err *e)
{
    char **names = NULL;
    size_t all = 0, count;
    int rc = fs_list(dir, &names, &all, e);

    count = all;
    if (rc == 0 && dir[strlen(dir) - 1] != '/') {
        free(f->name);
        rc = (f->name = mem_printf(e, "%s/", dir)) ? 0 : -1;
    }
    if (rc == 0) {
        const enum ending taken = has(names, all, END_PARQUET) ? END_PARQUET : END_JSONL;

        names_keep(names, &count, taken);
        if (count && left_out_say(dir, names, all, taken, e) < 0)
            rc = -1;
        else
            rc = count
                     ? parts_open(f, dir, names, count, e)
                     : err_set(e, ERR_USE,
                               "'%s' is a folder without a " PARQUET " or .jsonl file: a folder of "
                               "data holds such files",
                               dir);
    }
    fs_names_free(&names, all);
    return rc;
}

int data_file_digest(const struct data_file *f, uint64_t *digest, struct err *e)
{
    struct hash h;

    if (!f->parts)
        return hash_file(f->path, digest, e);
    hash_start(&h);
    for (size_t i = 0; i < f->parts; i++) {
        if (hash_file(f->part[i].path, digest, e) < 0)
            return -1;
        hash_add(&h, digest, sizeof *digest);
    }
    *digest = hash_end(&h);
    return 0;
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
        return folder_open(f, path, e);
    if (in || !S_ISREG(st.st_mode))
        return stream_open(f, path, e);
    return regular_open(f, path, e);
}

void data_file_close(struct data_file *f)
{
    for (size_t i = 0; i < f->parts; i++)
        data_file_close(&f->part[i]);
    free(f->part);
    spill_close(&f->kept);
    free(f->name);
    free(f->path);
    *f = (struct data_file){.kept = SPILL_IN(NULL)};
}
