/* SPDX-License-Identifier: Apache-2.0 */
/* input - tee() shows what a pipe holds next. */
#include "input.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../common/base/fs.h"
#include "../../../common/base/mem.h"
#include "../../../common/text/model_file.h"

#define MAGIC "PTQ1"
#define MAGIC_BYTES 4
#define HEAD_BYTES 8 /* the length of a header of safetensors */
#define ROOM ((size_t)1 << 18)

/* The first bytes of a pipe; it waits for them. How many, or -1. */
static ssize_t pipe_peek(int fd, char magic[MAGIC_BYTES])
{
    int copy[2];
    ssize_t got;

    if (pipe2(copy, O_CLOEXEC) < 0)
        return -1;
    got = tee(fd, copy[1], MAGIC_BYTES, 0);
    if (got > 0)
        got = read(copy[0], magic, (size_t)got);
    close(copy[0]);
    close(copy[1]);
    return got;
}

/* A safetensors file begins with the length of its header: text and archives say more than any
 * header has. GGUF and JSON have words of their own later. */
static int is_foreign(const char *head, size_t n)
{
    return n == HEAD_BYTES && memcmp(head, "GGUF", 4) != 0 && head[0] != '{' &&
           (head[5] || head[6] || head[7]);
}

static int check_foreign(const char *head, ssize_t got, const char *path, struct err *e)
{
    if (got <= 0 || !is_foreign(head, (size_t)got))
        return 0;
    return fs_check_pointer(path, e) < 0
               ? -1
               : err_set(e, ERR_USE,
                         "'%s' is not a file that can be read here: these are streams (.ptq), "
                         "safetensors and GGUF files, and model folders",
                         path);
}

static int pipe_hold(struct input *in, const char *path, struct err *e)
{
    char *room = mem_array(ROOM, 1, e), head[HEAD_BYTES];
    uint64_t at = 0;
    ssize_t got = -1;

    while (room && (got = read(in->fd, room, ROOM)) > 0) {
        if (spill_write(&in->held, room, (size_t)got, at, e) < 0)
            break;
        at += (uint64_t)got;
    }
    if (room && got < 0)
        err_sys(e, "cannot read from '%s'", path);
    free(room);
    if (got != 0 || check_foreign(head, pread(in->held.fd, head, sizeof head, 0), path, e) < 0)
        return -1;
    in->kind = INPUT_FILE;
    snprintf(in->name, sizeof in->name, "/proc/self/fd/%d", in->held.fd);
    return 0;
}

/* Stays open while it is read by its other name: its writer must not find it closed. */
static int pipe_look(struct input *in, const char *path, struct err *e)
{
    char magic[MAGIC_BYTES];
    ssize_t got = pipe_peek(in->fd, magic);

    if (got < 0)
        return err_sys(e, "cannot read from '%s'", path);
    if (got == 0)
        return err_set(e, ERR_USE, "'%s' is empty", path);
    in->path = in->name;
    snprintf(in->name, sizeof in->name, "/proc/self/fd/%d", in->fd);
    return memcmp(magic, MAGIC, (size_t)got) == 0 ? 0 : pipe_hold(in, path, e);
}

static int file_look(struct input *in, const char *path, struct err *e)
{
    char head[HEAD_BYTES];
    ssize_t got = read(in->fd, head, sizeof head);

    if (got == 0)
        return err_set(e, ERR_USE, "'%s' is empty", path);
    if (got < MAGIC_BYTES || memcmp(head, MAGIC, MAGIC_BYTES) != 0)
        in->kind = INPUT_FILE;
    if (in->kind == INPUT_FILE && check_foreign(head, got, path, e) < 0)
        return -1;
    close(in->fd);
    in->fd = -1;
    return 0;
}

/* A stream stays where it is; a file is read by the name of what holds it. */
static int standard_look(struct input *in, struct err *e)
{
    char magic[MAGIC_BYTES] = MAGIC;
    struct stat st;
    ssize_t got = 0;

    if (fstat(STDIN_FILENO, &st) == 0 && S_ISFIFO(st.st_mode))
        got = pipe_peek(STDIN_FILENO, magic);
    else if (S_ISREG(st.st_mode))
        got = pread(STDIN_FILENO, magic, MAGIC_BYTES, 0);
    if (got <= 0 || memcmp(magic, MAGIC, (size_t)got) == 0)
        return 0;
    in->kind = INPUT_FILE;
    in->path = in->name;
    if ((in->fd = dup(STDIN_FILENO)) < 0)
        return err_sys(e, "cannot read from standard input");
    if (S_ISFIFO(st.st_mode))
        return pipe_hold(in, "standard input", e);
    snprintf(in->name, sizeof in->name, "/proc/self/fd/%d", in->fd);
    return 0;
}

int input_open(struct input *in, const char *path, struct err *e)
{
    struct stat st;
    uint64_t bytes;
    int rc;

    *in = (struct input){INPUT_STREAM, path, "", -1, SPILL_IN(spill_dir())};
    if (strstr(path, "://"))
        return 0;
    if (!strcmp(path, "-")) {
        if ((rc = standard_look(in, e)) < 0)
            input_close(in);
        return rc;
    }
    if (fs_is_dir(path) || !model_is_folder(path)) {
        in->kind = INPUT_FOLDER;
        return 0;
    }
    in->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (in->fd < 0 && fs_is_named(path) && !fs_exists(path))
        rc = fs_size(path, &bytes, e); /* says where the link leads */
    else if (in->fd < 0 || fstat(in->fd, &st) < 0)
        rc = err_set(e, ERR_USE, "cannot open '%s': no such file, or no permission to read it",
                     path);
    else
        rc = S_ISFIFO(st.st_mode) ? pipe_look(in, path, e) : file_look(in, path, e);
    if (rc < 0)
        input_close(in);
    return rc;
}

struct st_set *input_set(const struct input *in, struct err *e)
{
    return in->kind == INPUT_FOLDER ? st_open_folder(in->path, e) : st_open(in->path, e);
}

void input_close(struct input *in)
{
    if (in->path && in->fd >= 0)
        close(in->fd);
    if (in->path)
        spill_close(&in->held);
    in->path = NULL;
}
