/* SPDX-License-Identifier: Apache-2.0 */
/* link_file - a stream on a pipe or in a file: framed messages, then the end mark.
 *
 * Nothing comes back from the other end, so there is no credit but the pipe itself, and no
 * acknowledgement. A file holds one stream: bytes behind its end mark are refused (joined files
 * are not a stream); behind the end mark of a pipe nothing is read any more.
 *
 * A file is written beside its name and takes it with the end mark: until then, and when the
 * stream stays incomplete, a file that was there stays. What there is of it is kept only where
 * nothing is in its way. A process does not write the file that it reads. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../base/clock.h"
#include "../base/fault.h"
#include "../base/fs.h"
#include "../base/mem.h"
#include "../base/sig.h"
#include "../base/plural.h"
#include "../base/status.h"
#include "../base/std.h"
#include "link_impl.h"

#define DRAIN_S 5.0
#define PIPE_BYTES (1 << 20)

struct file_link {
    struct link l;
    int fd, own, regular, over;
    int reopened;           /* fd is ours alone */
    struct fs_out out;      /* LINK_OUT to a path; fd is its */
    struct stat st, is;     /* of fd; of the file that it will replace */
    struct file_link *next; /* open ones of this process */
    const char *what;
    uint64_t count, sum;
    struct link_stats stats;
};

static struct file_link *open_files;

/* Standard output as a link: at most one in a process. */
static int output_open;

struct pollfd link_output_poll(void)
{
    return (struct pollfd){output_open ? 1 : -1, 0, 0};
}

int link_output_read(const struct pollfd *p, struct err *e)
{
    return p->revents & POLLERR
               ? err_set(e, ERR_SYS,
                         "the stage behind this one has gone: nobody reads standard output")
               : 0;
}

int link_output_check(struct err *e)
{
    struct pollfd p = link_output_poll();

    return poll(&p, 1, 0) > 0 ? link_output_read(&p, e) : 0;
}

/* 1 ready, 0 time is up, 2 draining, -1. After draining began only a deadline ends the wait of a
 * sender. */
static int fd_wait(struct file_link *f, short events, double until, int drain, struct err *e)
{
    double from = clock_wall();
    int r;

    for (;;) {
        struct pollfd p[3] = {{f->fd, events, 0},
                              {drain ? sig_fd() : -1, POLLIN, 0},
                              events == POLLIN ? link_output_poll() : (struct pollfd){-1, 0, 0}};

        status_alive();
        r = poll(p, 3, wait_alive_ms(until));
        wait_count(&f->l, &from);
        if (r < 0 && errno != EINTR) {
            r = err_sys(e, "%s", f->what);
            break;
        }
        if (drain && sig_draining()) {
            r = 2;
            break;
        }
        if (link_output_read(&p[2], e) != 0) {
            r = -1;
            break;
        }
        if (r >= 0) {
            r = p[0].revents ? 1 : 0;
            if (r || wait_ms(until) == 0)
                break;
        }
    }
    return r;
}

static int tail_check(struct file_link *f, struct err *e)
{
    char byte;
    ssize_t n = f->regular ? read(f->fd, &byte, 1) : 0;

    if (n < 0)
        return err_sys(e, "%s", f->what);
    return n ? err_set(e, ERR_DATA,
                       "%s: more data follows the end mark; give the streams one at a time",
                       f->what)
             : 0;
}

/* A control message in the stream: 0 proper end, -1. */
static int control_take(struct file_link *f, const struct msg *m, struct err *e)
{
    const char *text = json_as_text(json_get(m->meta, "text"));

    if (m->kind == MSG_FAIL)
        return err_set(e, ERR_DATA, "stream in %s is incomplete: %s", f->what,
                       text ? text : "its sender failed");
    if (m->kind != MSG_END)
        return err_set(e, ERR_DATA, "%s: a '%s' message does not belong in a stream", f->what,
                       msg_kind_name(m->kind));
    if (end_mark_check(m, f->count, f->sum, f->what, e) < 0 || tail_check(f, e) < 0)
        return -1;
    f->over = 1;
    return 0;
}

static int file_recv(struct link *l, struct msg **m, int timeout_ms, struct err *e)
{
    struct file_link *f = (struct file_link *)l;
    uint64_t bytes = 0;
    double cpu;
    int r;

    if (f->over)
        return 0;
    r = sig_draining() ? 2 : fd_wait(f, POLLIN, wait_until(timeout_ms), 1, e);
    if (r != 1)
        return r < 0 ? -1 : 2;
    cpu = clock_thread();
    r = frame_read(f->fd, m, &l->o.limits, f->what, &bytes, e);
    f->stats.bytes_wire += bytes;
    status_received(bytes);
    if (r > 0 && msg_kind_is_data((*m)->kind)) {
        fault_receive();
        r = message_check(l, *m, f->what, e) == 0 ? 1 : -1;
        f->count++;
        f->sum += msg_checksum(*m);
        f->stats.messages++;
        f->stats.bytes_raw += msg_bytes(*m);
    } else if (r > 0) {
        r = control_take(f, *m, e);
        msg_destroy(m);
    } else if (r == 0) {
        r = err_set(e, ERR_DATA,
                    "stream in %s is incomplete: it stops after %llu message%s without an end mark",
                    f->what, (unsigned long long)f->count, plural_s(f->count));
    }
    f->stats.cpu_s += clock_thread() - cpu;
    if (r < 0)
        msg_destroy(m);
    return r;
}

static int frame_out(struct file_link *f, const struct msg *m, struct err *e)
{
    double cpu = clock_thread();
    uint64_t bytes = 0, where = 0;
    unsigned fault = msg_kind_is_data(m->kind) ? fault_send(&where) : 0;
    int r = sig_draining() ? fd_wait(f, POLLOUT, clock_wall() + DRAIN_S, 0, e)
                           : fd_wait(f, POLLOUT, -1, 1, e);

    if (r == 2)
        r = fd_wait(f, POLLOUT, clock_wall() + DRAIN_S, 0, e);
    if (r == 0)
        return err_set(e, ERR_SYS, "%s: asked to stop while the next stage does not take data",
                       f->what);
    if (r < 0)
        return -1;
    fault &= FAULT_FLIP | FAULT_CUT;
    r = frame_write_damaged(f->fd, m, f->l.o.compress, fault, where, f->what, &bytes, e);
    f->stats.bytes_wire += bytes;
    status_sent(bytes);
    f->stats.cpu_s += clock_thread() - cpu;
    return r;
}

static int file_send(struct link *l, size_t peer, struct msg **m, struct err *e)
{
    struct file_link *f = (struct file_link *)l;

    if (peer != LINK_PEER_ANY && peer != 0)
        return err_set(e, ERR_USE, "%s: has no peer %zu", f->what, peer);
    (*m)->seq = f->count;
    if (frame_out(f, *m, e) != 0)
        return -1;
    f->count++;
    f->sum += msg_checksum(*m);
    f->stats.messages++;
    f->stats.bytes_raw += msg_bytes(*m);
    msg_destroy(m);
    return 0;
}

static void unlist(const struct file_link *f)
{
    struct file_link **at = &open_files;

    while (*at && *at != f)
        at = &(*at)->next;
    if (*at)
        *at = f->next;
}

static int file_end(struct link *l, int complete, const char *why, struct err *e)
{
    struct file_link *f = (struct file_link *)l;
    struct msg *m = end_mark_create(l->name, f->count, f->sum, complete, why, e);
    int r = m ? frame_out(f, m, e) : -1;

    msg_destroy(&m);
    if (r == 0 && f->own) { /* also the last chance to hear of a write that failed late */
        f->fd = -1;
        unlist(f);
        if (complete || (f->count && !f->out.there))
            r = fs_out_finish(&f->out, e);
        else
            fs_out_drop(&f->out);
    }
    return r;
}

static int file_peers(struct link *l, size_t least, struct err *e)
{
    (void)l;
    (void)least;
    (void)e;
    return 1;
}

static int file_ready(struct link *l, struct err *e)
{
    struct file_link *f = (struct file_link *)l;
    struct pollfd p = {f->fd, l->dir == LINK_IN ? POLLIN : POLLOUT, 0};

    if (f->over)
        return 1;
    if (poll(&p, 1, 0) < 0 && errno != EINTR)
        return err_sys(e, "%s", f->what);
    return p.revents != 0;
}

static struct pollfd file_poll(const struct link *l)
{
    const struct file_link *f = (const struct file_link *)l;

    return (struct pollfd){f->fd, l->dir == LINK_IN ? POLLIN : POLLOUT, 0};
}

static void file_close(struct link *l)
{
    struct file_link *f = (struct file_link *)l;

    unlist(f);
    if (f->out.fd >= 0 && f->fd >= 0 && f->count && !f->out.there)
        fs_out_finish(&f->out, NULL); /* without an end mark, but there may be much in it */
    else if (l->dir == LINK_OUT && f->own)
        fs_out_drop(&f->out);
    else if ((f->own || f->reopened) && f->fd >= 0)
        close(f->fd);
    if (l->dir == LINK_OUT && !f->own)
        output_open = 0;
}

static void file_stats(const struct link *l, struct link_stats *s)
{
    *s = ((const struct file_link *)l)->stats;
    s->peers = 1;
}

static const struct link_ops file_ops = {file_recv,  file_send,  file_peers, file_ready, file_end,
                                         file_close, file_stats, NULL,       file_poll};

static int own_open(struct file_link *f, const char *path, struct err *e)
{
    f->what = f->l.endpoint;
    if (f->l.dir == LINK_OUT) {
        if (fs_out_open(&f->out, path, e) < 0)
            return -1;
        f->fd = f->out.fd;
        return 0;
    }
    /* A FIFO waits for its writer, unless it is open already: then the writer may have gone. */
    f->fd = open(path, O_RDONLY | O_CLOEXEC |
                           (strncmp(path, "/proc/self/fd/", 14) == 0 ? O_NONBLOCK : 0));
    if (f->fd < 0)
        return errno == ENOENT || errno == EACCES || errno == EISDIR || errno == ENOTDIR
                   ? err_set(e, ERR_USE, "cannot open '%s': %s", path, strerror(errno))
                   : err_sys(e, "cannot open '%s'", path);
    return 0;
}

/* What is written now would be the file that is read, or another output. */
static int alone_check(struct file_link *f, struct err *e)
{
    const char *path = f->out.path;

    f->is = f->st;
    if (path && f->out.there && stat(path, &f->is) != 0)
        return err_sys(e, "%s", f->what);
    for (struct file_link *x = open_files; f->regular && x; x = x->next)
        if ((f->l.dir == LINK_OUT || x->l.dir == LINK_OUT) &&
            ((f->is.st_dev == x->is.st_dev && f->is.st_ino == x->is.st_ino) ||
             (path && x->out.path && strcmp(path, x->out.path) == 0)))
            return err_set(e, ERR_USE, "%s and %s are the same file: write to another one", x->what,
                           f->what);
    f->next = open_files;
    open_files = f;
    return 0;
}

/* A description of the pipe of our own that does not block: the one that we were given may be
 * others' too. Where that is not to be had the blocking one must do. */
static void unblock(struct file_link *f)
{
    char name[40];
    int fd;

    snprintf(name, sizeof name, "/proc/self/fd/%d", f->fd);
    fd = open(name, (f->l.dir == LINK_IN ? O_RDONLY : O_WRONLY) | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (f->own)
        close(f->fd);
    if (f->out.fd >= 0)
        f->out.fd = fd;
    f->fd = fd;
    f->reopened = 1;
}

static int fd_open(struct file_link *f, const char *endpoint, struct err *e)
{
    f->own = strcmp(endpoint, "-") != 0;
    if (f->own) {
        if (own_open(f, endpoint, e) < 0)
            return -1;
    } else {
        f->fd = f->l.dir == LINK_IN ? 0 : 1;
        f->what = f->l.dir == LINK_IN ? "standard input" : "standard output";
        output_open |= f->fd == 1;
    }
    if (isatty(f->fd))
        return err_set(e, ERR_USE,
                       "%s is a terminal: streams are binary, use a pipe, a file or a socket",
                       f->what);
    if (fstat(f->fd, &f->st) != 0)
        return err_sys(e, "%s", f->what);
    if (!f->own && std_was_closed(f->fd))
        return err_set(e, ERR_USE, "%s is closed", f->what);
    if (S_ISDIR(f->st.st_mode))
        return err_set(e, ERR_USE, "%s is a folder, not a stream", f->what);
    f->regular = S_ISREG(f->st.st_mode);
    if (f->own && f->l.dir == LINK_IN && f->regular && fs_check_pointer(endpoint, e) < 0)
        return -1;
    /* Fewer switches between the two processes of a pipe; where the system says no, the pipe
     * stays as it is. */
    if (S_ISFIFO(f->st.st_mode) && fcntl(f->fd, F_SETPIPE_SZ, PIPE_BYTES) < 0)
        errno = 0;
    if (S_ISFIFO(f->st.st_mode))
        unblock(f);
    return alone_check(f, e);
}

struct link *file_open(const char *endpoint, enum link_dir dir, const struct link_opts *o,
                       struct err *e)
{
    struct file_link *f = mem_array(1, sizeof *f, e);
    struct link *l = (struct link *)f;

    if (!f)
        return NULL;
    f->fd = f->out.fd = -1;
    if (link_init(l, &file_ops, endpoint, dir, o, e) < 0 || fd_open(f, endpoint, e) < 0)
        link_close(&l);
    return l;
}
