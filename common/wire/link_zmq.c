/* SPDX-License-Identifier: Apache-2.0 */
/* link_zmq - sockets: ROUTER for the end that binds, DEALER for the end that connects. The only
 * file of the links that includes ZeroMQ.
 *
 * Large parts are never copied here: a part that goes out stays where it is until ZeroMQ
 * releases it, a part that comes in is handed on in ZeroMQ's memory. One context per socket: its
 * threads bear a number of their own, so their CPU time can be told apart. Left out: CURVE keys. */
#include "link_zmq.h"
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>
#include "../base/clock.h"
#include "../base/mem.h"
#include "strangers.h"

/* smaller parts share ZeroMQ's buffers: not aligned, and they would hold the whole buffer */
#define COPY_BELOW 4096
#define SOCKET_BUFFER (1 << 20)
#define HIGH_WATER 100000 /* messages; credit governs, this is only a fuse */

struct zsock {
    void *ctx, *sock, *watch; /* watch: events of connections */
    int bound, number;
    char address[256];
    struct strangers strangers; /* of a binder */
    int from;                   /* descriptor that the message in hand came by; -1: not known */
    int full;                   /* not bound for the time being */
};

static atomic_int sockets;

static int zmq_err(struct err *e, const char *what)
{
    return err_set(e, ERR_SYS, "%s: %s", what, zmq_strerror(zmq_errno()));
}

static int option_set(void *sock, int option, int v)
{
    return zmq_setsockopt(sock, option, &v, sizeof v);
}

/* Linger is 0 from the start: a listener hands the value it was bound with to the connections that
 * break, and with the default, for ever, one that breaks with something still to send is never
 * closed and zmq_ctx_term waits for it. What zsock_close sets is for the connections still up. */
static int options_set(struct zsock *z, const char *url, const char *identity, size_t max_bytes)
{
    int64_t max = (int64_t)max_bytes;
    int bad = option_set(z->sock, ZMQ_LINGER, 0) | option_set(z->sock, ZMQ_SNDHWM, HIGH_WATER) |
              option_set(z->sock, ZMQ_RCVHWM, HIGH_WATER) |
              option_set(z->sock, ZMQ_SNDBUF, SOCKET_BUFFER) |
              option_set(z->sock, ZMQ_RCVBUF, SOCKET_BUFFER) |
              option_set(z->sock, ZMQ_RECONNECT_IVL, 100) |
              option_set(z->sock, ZMQ_RECONNECT_IVL_MAX, 5000) |
              zmq_setsockopt(z->sock, ZMQ_MAXMSGSIZE, &max, sizeof max);

    if (strchr(url, '['))
        bad |= option_set(z->sock, ZMQ_IPV6, 1);
    if (z->bound)
        return bad | option_set(z->sock, ZMQ_ROUTER_MANDATORY, 1) |
               option_set(z->sock, ZMQ_ROUTER_HANDOVER, 1);
    /* Not ZMQ_IMMEDIATE: with it a broken connection takes along what had come in by it and was
     * not read yet, so the acknowledgement of an end by a peer that then closes could be lost on
     * a busy machine. */
    return bad | zmq_setsockopt(z->sock, ZMQ_ROUTING_ID, identity, strlen(identity));
}

static int watch_open(struct zsock *z)
{
    char name[64];

    snprintf(name, sizeof name, "inproc://watch-%d", z->number);
    if (zmq_socket_monitor(z->sock, name,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                               (z->bound ? ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_ACCEPT_FAILED : 0)) != 0)
        return -1;
    z->watch = zmq_socket(z->ctx, ZMQ_PAIR);
    return z->watch && zmq_connect(z->watch, name) == 0 ? 0 : -1;
}

struct zsock *zsock_open(const char *url, int bind, const char *identity, size_t max_bytes,
                         struct err *e)
{
    struct zsock *z = mem_array(1, sizeof *z, e);
    size_t n = sizeof z->address;

    if (!z)
        return NULL;
    z->bound = bind;
    z->number = atomic_fetch_add(&sockets, 1) % 10000;
    z->ctx = zmq_ctx_new();
    if (!z->ctx || zmq_ctx_set(z->ctx, ZMQ_THREAD_NAME_PREFIX, z->number) != 0 ||
        !(z->sock = zmq_socket(z->ctx, bind ? ZMQ_ROUTER : ZMQ_DEALER)) ||
        options_set(z, url, identity, max_bytes) != 0 || watch_open(z) != 0) {
        zmq_err(e, "cannot make a socket");
        goto out;
    }
    if ((bind ? zmq_bind(z->sock, url) : zmq_connect(z->sock, url)) != 0) {
        /* A wrong address stays wrong; one in use may be free again later. */
        enum err_kind kind = zmq_errno() == EADDRINUSE ? ERR_SYS : ERR_USE;
        err_set(e, kind, "cannot %s '%s': %s", bind ? "bind" : "connect to", url,
                zmq_strerror(zmq_errno()));
        goto out;
    }
    if (zmq_getsockopt(z->sock, ZMQ_LAST_ENDPOINT, z->address, &n) != 0)
        snprintf(z->address, sizeof z->address, "%s", url);
    return z;
out:
    zsock_close(&z, 0);
    return NULL;
}

const char *zsock_address(const struct zsock *z)
{
    return z->address;
}

/* One change: what it is for the link. value: the connection's descriptor, or why it failed. */
static int change_take(struct zsock *z, uint16_t event, uint32_t value)
{
    switch (event) {
    case ZMQ_EVENT_ACCEPTED:
        strangers_add(&z->strangers, (int)value, clock_wall(), NULL); /* no memory: not watched */
        return 0;
    case ZMQ_EVENT_ACCEPT_FAILED:
        return value == EMFILE || value == ENFILE ? ZS_FULL : 0;
    case ZMQ_EVENT_DISCONNECTED:
        strangers_drop(&z->strangers, (int)value);
        return ZS_DOWN;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        return ZS_UP;
    default:
        return 0;
    }
}

/* ZeroMQ would ask for the connection again and again, and find no descriptor each time. */
static int full_take(struct zsock *z)
{
    if (z->full)
        return 0;
    z->full = zmq_unbind(z->sock, z->address) == 0;
    return z->full ? ZS_FULL : 0;
}

/* Empties the monitor: which changes there were. */
static int watch_read(struct zsock *z)
{
    int bits = 0;

    for (;;) {
        unsigned char head[6] = {0};
        uint16_t event;
        uint32_t value;
        zmq_msg_t m;
        int more;

        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, z->watch, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&m);
            return bits & ZS_FULL ? (bits & ~ZS_FULL) | full_take(z) : bits;
        }
        if (zmq_msg_size(&m) == sizeof head)
            memcpy(head, zmq_msg_data(&m), sizeof head);
        memcpy(&event, head, sizeof event);
        memcpy(&value, head + sizeof event, sizeof value);
        more = zmq_msg_more(&m);
        zmq_msg_close(&m);
        if (more) /* else the address that follows each event */
            bits |= change_take(z, event, value);
    }
}

int zsock_wait(struct zsock *z, int fd, int timeout_ms)
{
    zmq_pollitem_t items[3] = {
        {z->sock, 0, ZMQ_POLLIN, 0}, {NULL, fd, ZMQ_POLLIN, 0}, {z->watch, 0, ZMQ_POLLIN, 0}};
    int bits = 0;

    if (zmq_poll(items, 3, timeout_ms) <= 0)
        return 0;
    if (items[2].revents)
        bits |= watch_read(z);
    return bits | (items[0].revents ? ZS_READABLE : 0);
}

struct sending {
    void (*release)(void *);
    void *owner;
};

static void release_part(void *data, void *hint)
{
    struct sending *s = hint;

    (void)data;
    if (s->release)
        s->release(s->owner);
    free(s);
}

/* 0, or the error; then nothing was released. */
static int part_send(struct zsock *z, const struct part *p, int flags, void (*release)(void *),
                     void *owner)
{
    struct sending *s = malloc(sizeof *s);
    zmq_msg_t m;
    int error;

    if (!s)
        return ENOMEM;
    *s = (struct sending){release, owner};
    if (zmq_msg_init_data(&m, p->data, p->bytes, release_part, s) != 0) {
        free(s);
        return ENOMEM;
    }
    if (zmq_msg_send(&m, z->sock, flags | ZMQ_DONTWAIT) >= 0)
        return 0;
    error = zmq_errno();
    s->release = NULL;
    zmq_msg_close(&m);
    return error;
}

static int id_send(struct zsock *z, const struct zid *to)
{
    return zmq_send(z->sock, to->data, to->n, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0 ? 0 : zmq_errno();
}

int zsock_send(struct zsock *z, const struct zid *to, const struct part *parts, size_t count,
               void (*release)(void *), void *owner, struct err *e)
{
    size_t i = 0;
    int error = z->bound ? id_send(z, to) : 0, addressed = z->bound && !error;

    for (; !error && i < count; i += !error)
        error = part_send(z, &parts[i], i + 1 < count ? ZMQ_SNDMORE : 0, release, owner);
    if (!error)
        return ZS_OK;
    if (i == 0 && !addressed && (error == EAGAIN || error == EHOSTUNREACH))
        return error == EAGAIN ? ZS_AGAIN : ZS_GONE;
    for (; i < count; i++)
        release(owner);
    return err_set(e, ERR_SYS, "cannot send: %s", zmq_strerror(error));
}

static void release_received(void *owner)
{
    zmq_msg_close(owner);
    free(owner);
}

/* Moves a received part out; small ones are copied. */
static int part_take(zmq_msg_t *m, struct part *p, struct err *e)
{
    size_t n = zmq_msg_size(m);
    zmq_msg_t *own;

    if (n < COPY_BELOW || (uintptr_t)zmq_msg_data(m) % 8) {
        if (!(p->data = mem_raw(n ? n : 1, 1, e)))
            return -1;
        memcpy(p->data, zmq_msg_data(m), n);
        *p = (struct part){p->data, n, free, p->data};
        return 0;
    }
    if (!(own = mem_array(1, sizeof *own, e)))
        return -1;
    zmq_msg_init(own);
    zmq_msg_move(own, m);
    *p = (struct part){zmq_msg_data(own), n, release_received, own};
    return 0;
}

int zsock_next(struct zsock *z, struct zid *from, struct err *e)
{
    int n, events = 0;
    size_t size = sizeof events;

    from->n = 0;
    z->from = -1;
    if (!z->bound)
        return zmq_getsockopt(z->sock, ZMQ_EVENTS, &events, &size) == 0 && events & ZMQ_POLLIN;
    n = zmq_recv(z->sock, from->data, sizeof from->data, ZMQ_DONTWAIT);
    if (n < 0)
        return zmq_errno() == EAGAIN ? 0 : zmq_err(e, "cannot receive");
    from->n = (size_t)n;
    return 1;
}

void zsock_admit(struct zsock *z)
{
    if (z->from >= 0)
        strangers_drop(&z->strangers, z->from);
}

size_t zsock_sweep(struct zsock *z, double now)
{
    return strangers_sweep(&z->strangers, now);
}

size_t zsock_strangers(const struct zsock *z)
{
    return z->strangers.count;
}

int zsock_retry(struct zsock *z, struct err *e)
{
    if (!z->full)
        return 0;
    if (zmq_bind(z->sock, z->address) != 0)
        return zmq_err(e, "cannot bind again");
    z->full = 0;
    return 0;
}

int zsock_recv(struct zsock *z, struct part **parts, size_t *count, const struct frame_limits *lim,
               struct err *e)
{
    size_t room = 0, total = 0;
    int more, bad = 0;

    *parts = NULL;
    *count = 0;
    do {
        zmq_msg_t m;

        zmq_msg_init(&m);
        if (zmq_msg_recv(&m, z->sock, ZMQ_DONTWAIT) < 0) {
            int error = zmq_errno();
            zmq_msg_close(&m);
            frame_parts_free(parts, count);
            return error == EAGAIN ? 0
                                   : err_set(e, ERR_SYS, "cannot receive: %s", zmq_strerror(error));
        }
        more = zmq_msg_more(&m);
        if (z->bound && z->from < 0)
            z->from = zmq_msg_get(&m, ZMQ_SRCFD);
        if (!bad && (*count >= lim->parts || zmq_msg_size(&m) > lim->message_bytes - total))
            bad = err_set(e, ERR_DATA, "a message of more than %zu parts or %zu bytes", lim->parts,
                          lim->message_bytes);
        if (!bad && mem_grow((void **)parts, &room, *count + 1, sizeof **parts, e) < 0)
            bad = -1;
        if (!bad) {
            total += zmq_msg_size(&m);
            bad = part_take(&m, &(*parts)[*count], e);
            *count += !bad;
        }
        zmq_msg_close(&m);
    } while (more);
    if (bad)
        frame_parts_free(parts, count);
    return bad ? -1 : 1;
}

/* Threads of this context are named "NUMBER/ZMQbg/..."; the kernel keeps their time in
 * nanoseconds. */
static double thread_cpu(const char *tid, const char *prefix)
{
    char path[320], text[64] = "";
    double ns = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/self/task/%s/comm", tid);
    if (!(f = fopen(path, "re")))
        return 0;
    if (!fgets(text, sizeof text, f))
        text[0] = '\0';
    fclose(f);
    if (strncmp(text, prefix, strlen(prefix)) != 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/task/%s/schedstat", tid);
    if (!(f = fopen(path, "re")))
        return 0;
    if (fscanf(f, "%lf", &ns) != 1)
        ns = 0;
    fclose(f);
    return ns * 1e-9;
}

double zsock_cpu(const struct zsock *z)
{
    char prefix[32];
    double sum = 0;
    DIR *d = opendir("/proc/self/task");
    struct dirent *entry;

    if (!d)
        return 0;
    snprintf(prefix, sizeof prefix, "%d/ZMQbg/", z->number);
    while ((entry = readdir(d)))
        if (entry->d_name[0] != '.')
            sum += thread_cpu(entry->d_name, prefix);
    closedir(d);
    return sum;
}

void zsock_close(struct zsock **z, int linger_ms)
{
    int keep = errno;

    if (!z || !*z)
        return;
    if ((*z)->sock) {
        zmq_socket_monitor((*z)->sock, NULL, 0);
        option_set((*z)->sock, ZMQ_LINGER, linger_ms);
        zmq_close((*z)->sock);
    }
    if ((*z)->watch) {
        option_set((*z)->watch, ZMQ_LINGER, 0);
        zmq_close((*z)->watch);
    }
    if ((*z)->ctx)
        while (zmq_ctx_term((*z)->ctx) != 0 && zmq_errno() == EINTR)
            ;
    strangers_release(&(*z)->strangers);
    free(*z);
    *z = NULL;
    errno = keep;
}
