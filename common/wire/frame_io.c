/* SPDX-License-Identifier: Apache-2.0 */
/* frame_io - framed messages on pipes, in files and in memory. Prefix: "PTQ1", u32 count of
 * parts, u64 length of each, all little-endian; then the parts one after the other. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/fault.h"
#include "../base/mem.h"
#include "../base/sig.h"
#include "../base/status.h"
#include "frame.h"
#include "frame_head.h"

#define MAGIC "PTQ1"
#define FIXED 8 /* magic and count */
#define PIECE ((size_t)1 << 26)
#define DRAIN_S 5.0

/* Waits until a descriptor is ready that does not block, or in which a signal came. Once the
 * process is asked to stop it has DRAIN_S more for the message in hand: *until, < 0 before that.
 * 0, -1. */
static int wait_for(int fd, short events, double *until, const char *what, struct err *e)
{
    for (;;) {
        struct pollfd p[2] = {{fd, events, 0}, {-1, POLLIN, 0}};
        double left = -1;

        if (sig_draining() && *until < 0)
            *until = clock_wall() + DRAIN_S;
        if (*until < 0)
            p[1].fd = sig_fd();
        else if ((left = *until - clock_wall()) <= 0)
            return err_set(e, ERR_SYS, "%s: asked to stop in the middle of a message", what);
        status_alive();
        if (poll(p, 2, left < 0 || left > 1 ? STATUS_ALIVE_MS : (int)(left * 1000) + 1) < 0 &&
            errno != EINTR)
            return err_sys(e, "cannot wait for %s", what);
        if (p[0].revents)
            return 0;
    }
}

static int write_pieces(int fd, struct iovec *v, size_t n, const char *what, struct err *e)
{
    double until = -1;

    while (n) {
        ssize_t put = writev(fd, v, n > 512 ? 512 : (int)n);
        size_t done;

        if (put < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (wait_for(fd, POLLOUT, &until, what, e) < 0)
                return -1;
            continue;
        }
        if (put < 0)
            return err_sys(e, "cannot write to %s", what);
        for (done = (size_t)put; n && done >= v->iov_len; v++, n--)
            done -= v->iov_len;
        if (n) {
            v->iov_base = (char *)v->iov_base + done;
            v->iov_len -= done;
        }
    }
    return 0;
}

int frame_write(int fd, const struct msg *m, enum frame_compress c, const char *what,
                uint64_t *bytes_out, struct err *e)
{
    return frame_write_damaged(fd, m, c, 0, 0, what, bytes_out, e);
}

/* The prefix says what the parts were before they were damaged. */
static void prefix_fill(unsigned char *prefix, const struct part *parts, size_t n)
{
    const uint32_t n32 = (uint32_t)n;

    memcpy(prefix, MAGIC, 4);
    memcpy(prefix + 4, &n32, 4);
    for (size_t i = 0; i < n; i++) {
        uint64_t length = parts[i].bytes;

        memcpy(prefix + FIXED + 8 * i, &length, 8);
    }
}

int frame_write_damaged(int fd, const struct msg *m, enum frame_compress c, unsigned fault,
                        uint64_t where, const char *what, uint64_t *bytes_out, struct err *e)
{
    struct part *parts = NULL;
    struct iovec *v = NULL;
    unsigned char *prefix = NULL;
    uint64_t total = 0;
    size_t n = 0;
    int rc = -1;

    if (frame_encode(m, c, &parts, &n, e) < 0)
        return -1;
    prefix = mem_array(FIXED + 8 * n, 1, e);
    v = mem_array(n + 1, sizeof *v, e);
    if (!prefix || !v)
        goto out;
    prefix_fill(prefix, parts, n);
    if (fault && frame_damage(parts, n, fault, where, e) < 0)
        goto out;
    v[0] = (struct iovec){prefix, FIXED + 8 * n};
    total = v[0].iov_len;
    for (size_t i = 0; i < n; i++) {
        v[i + 1] = (struct iovec){parts[i].data, parts[i].bytes};
        total += parts[i].bytes;
    }
    rc = write_pieces(fd, v, n + 1, what, e);
    if (fault & FAULT_CUT)
        fault_die();
    if (rc == 0 && bytes_out)
        *bytes_out += total;
out:
    free(v);
    free(prefix);
    frame_parts_free(&parts, &n);
    return rc;
}

/* Where bytes come from: a descriptor, or memory. */
struct source {
    int fd; /* -1: memory */
    const unsigned char *at;
    size_t left;
    uint64_t used;
    double until; /* as wait_for has it */
    const char *what;
};

/* Up to n bytes, fewer only at the end of the source. -1: error. */
static ssize_t pull(struct source *s, void *to, size_t n, struct err *e)
{
    size_t got = 0;

    if (s->fd < 0) {
        got = n < s->left ? n : s->left;
        if (got)
            memcpy(to, s->at, got);
        s->at += got;
        s->left -= got;
        s->used += got;
        return (ssize_t)got;
    }
    while (got < n) {
        size_t want = n - got < PIECE ? n - got : PIECE;
        ssize_t r = read(s->fd, (char *)to + got, want);

        if (r < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (wait_for(s->fd, POLLIN, &s->until, s->what, e) < 0)
                return -1;
            continue;
        }
        if (r < 0)
            return err_sys(e, "cannot read from %s", s->what);
        if (r == 0)
            break;
        got += (size_t)r;
    }
    s->used += got;
    return (ssize_t)got;
}

static int pull_all(struct source *s, void *to, size_t n, struct err *e)
{
    ssize_t got = pull(s, to, n, e);

    if (got < 0)
        return -1;
    if ((size_t)got < n)
        return err_set(e, ERR_DATA, "%s: truncated in the middle of a message", s->what);
    return 0;
}

/* A part of its own memory. */
static int pull_part(struct source *s, size_t bytes, struct part *p, struct err *e)
{
    void *data;

    if (s->fd < 0 && bytes > s->left)
        return err_set(e, ERR_DATA, "%s: truncated in the middle of a message", s->what);
    data = mem_raw(bytes, 1, e);
    if (!data)
        return -1;
    *p = (struct part){data, bytes, free, data};
    return pull_all(s, data, bytes, e);
}

static uint64_t length_at(const unsigned char *lengths, size_t i)
{
    uint64_t x;

    memcpy(&x, lengths + 8 * i, 8);
    return x;
}

/* Everything behind magic and count. Tensors are read only once the header has told their sizes,
 * which the limits cover. */
static struct msg *read_body(struct source *s, size_t n, const struct frame_limits *lim,
                             struct err *e)
{
    unsigned char *lengths = mem_array(n, 8, e);
    struct part *parts = mem_array(n, sizeof *parts, e);
    struct frame_head h = {0};
    struct msg *m = NULL;

    if (!lengths || !parts || pull_all(s, lengths, 8 * n, e) < 0)
        goto out;
    if (length_at(lengths, 0) > lim->header_bytes) {
        err_set(e, ERR_USE, "%s: a message header of %llu bytes, the limit is %zu", s->what,
                (unsigned long long)length_at(lengths, 0), lim->header_bytes);
        goto out;
    }
    if (pull_part(s, (size_t)length_at(lengths, 0), &parts[0], e) < 0)
        goto out;
    if (frame_head_read(parts[0].data, parts[0].bytes, lim, &h, e) < 0) {
        err_prefix(e, "%s", s->what);
        goto out;
    }
    for (size_t i = 1; i < n; i++) {
        if (i > h.count || length_at(lengths, i) != h.entries[i - 1].packed) {
            err_set(e, ERR_USE,
                    "%s: message '%s': the prefix and the header do not agree about part %zu",
                    s->what, h.m->id, i);
            goto out;
        }
        if (pull_part(s, h.entries[i - 1].packed, &parts[i], e) < 0)
            goto out;
    }
    m = frame_head_finish(&h, parts + 1, n - 1, e);
    if (!m)
        err_prefix(e, "%s", s->what);
out:
    frame_head_free(&h);
    frame_parts_free(&parts, &n);
    free(lengths);
    return m;
}

/* 1 a message, 0 end, -1 error. */
static int read_one(struct source *s, struct msg **m, const struct frame_limits *lim, struct err *e)
{
    struct frame_limits limits;
    unsigned char fixed[FIXED];
    uint32_t n;
    ssize_t got = pull(s, fixed, FIXED, e);

    if (got <= 0)
        return (int)got;
    if (memcmp(fixed, MAGIC, (size_t)(got < 4 ? got : 4)))
        return err_set(e, ERR_USE,
                       "%s: is not a stream of messages (no \"" MAGIC "\" where one must start)",
                       s->what);
    if (got < FIXED)
        return err_set(e, ERR_DATA, "%s: truncated in the middle of a message", s->what);
    frame_limits_fill(&limits, lim);
    memcpy(&n, fixed + 4, 4);
    if (n < 1 || n > limits.parts)
        return err_set(e, ERR_USE, "%s: a message of %u parts, must have 1 to %zu", s->what, n,
                       limits.parts);
    *m = read_body(s, n, &limits, e);
    return *m ? 1 : -1;
}

int frame_read(int fd, struct msg **m, const struct frame_limits *lim, const char *what,
               uint64_t *bytes_in, struct err *e)
{
    struct source s = {.fd = fd, .until = -1, .what = what};
    int rc = read_one(&s, m, lim, e);

    if (bytes_in)
        *bytes_in += s.used;
    return rc;
}

struct msg *frame_parse(const void *data, size_t length, const struct frame_limits *lim,
                        size_t *used, struct err *e)
{
    struct source s = {.fd = -1, .at = data, .left = length, .what = "memory"};
    struct msg *m = NULL;
    int rc = read_one(&s, &m, lim, e);

    if (rc == 0)
        err_set(e, ERR_DATA, "memory: there is no message");
    if (used)
        *used = (size_t)s.used;
    return rc == 1 ? m : NULL;
}
