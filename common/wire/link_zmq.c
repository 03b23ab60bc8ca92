/* SPDX-License-Identifier: Apache-2.0 */
/* link_zmq - sockets: ROUTER for the end that binds, DEALER for the end that connects. The only
 * file of the links that includes ZeroMQ.
 *
 * Large parts are never copied here: a part that goes out stays where it is until ZeroMQ
 * releases it, a part that comes in is handed on in ZeroMQ's memory. One context per socket: its
 * threads bear a number of their own, so their CPU time can be told apart. */
#include "link_zmq.h"
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <zmq.h>
#include "../base/clock.h"
#include "../base/mem.h"
#include "curve.h"
#include "link_cpu.h"
#include "link_zmq_part.h"
#include "strangers.h"

/* smaller parts share ZeroMQ's buffers: not aligned, and they would hold the whole buffer */
#define SOCKET_BUFFER (1 << 20)
#define HIGH_WATER 100000 /* messages; credit governs, this is only a fuse */
#define URLS 2
#define REFUSALS 8
#define FAILS 3 /* handshakes that fail before that is said */
#define RETRY_S 0.2
/* at first, then twice as long each time up to the most: the stages of a run start at once */
#define RECONNECT_MS 10
#define RECONNECT_MOST_MS 5000

struct zsock {
    void *ctx, *sock, *watch; /* watch: events of connections */
    int fd, watch_fd;         /* readable when there may be something to do for them */
    int bound, number;
    char address[URLS][ZS_URL];
    size_t addresses;
    struct curve *keys;         /* NULL: none */
    struct strangers strangers; /* of a binder */
    int changes;                /* ZS_* bits read by the way, still to be told */
    int from;                   /* descriptor that the message in hand came by; -1: not known */
    int full;                   /* not bound for the time being */
    double lost_at;             /* connector: since when ZeroMQ should try again; 0: it does */
    const char *broken;         /* why the handshake failed whose connection ends next; NULL */
    size_t unlisted;            /* refused by key, and not gone yet */
    double unlisted_at;         /* the last of them */
    int gone;                   /* descriptor of a connection that ended before it was looked at */
    int fails;                  /* handshakes in a row that failed for what may be chance */
    struct refusal refusal[REFUSALS];
    size_t refusals;
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
              option_set(z->sock, ZMQ_RECONNECT_IVL, RECONNECT_MS) |
              option_set(z->sock, ZMQ_RECONNECT_IVL_MAX, RECONNECT_MOST_MS) |
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

/* A message waits on it. The descriptor of a socket may stay quiet about that. */
static int is_readable(void *sock)
{
    int events = 0;
    size_t size = sizeof events;

    return zmq_getsockopt(sock, ZMQ_EVENTS, &events, &size) == 0 && events & ZMQ_POLLIN;
}

static int socket_fd(void *sock)
{
    int fd = -1;
    size_t size = sizeof fd;

    return zmq_getsockopt(sock, ZMQ_FD, &fd, &size) == 0 ? fd : -1;
}

static int watch_open(struct zsock *z)
{
    char name[64];

    snprintf(name, sizeof name, "inproc://watch-%d", z->number);
    if (zmq_socket_monitor(z->sock, name,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                               (z->bound ? ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_ACCEPT_FAILED
                                         : ZMQ_EVENT_CONNECT_RETRIED)) != 0)
        return -1;
    z->watch = zmq_socket(z->ctx, ZMQ_PAIR);
    if (!z->watch || zmq_connect(z->watch, name) != 0)
        return -1;
    z->fd = socket_fd(z->sock);
    z->watch_fd = socket_fd(z->watch);
    is_readable(z->watch); /* from here on its descriptor tells: only who found nothing is waked */
    return z->fd >= 0 && z->watch_fd >= 0 ? 0 : -1;
}

const char *zsock_url(const char *url, char first[ZS_URL])
{
    const char *rest = strstr(url, ",tcp://");

    size_t n = rest ? (size_t)(rest - url) : strlen(url);

    n = n < ZS_URL ? n : ZS_URL - 1;
    memcpy(first, url, n);
    first[n] = '\0';
    return rest ? rest + 1 : NULL;
}

int zsock_is_tcp(const char *url)
{
    return strncmp(url, "tcp://", 6) == 0;
}

static int attach(struct zsock *z, const char *url)
{
    if (z->keys && curve_use(z->keys, z->sock, zsock_is_tcp(url)) != 0)
        return -1;
    return z->bound ? zmq_bind(z->sock, url) : zmq_connect(z->sock, url);
}

static int attach_all(struct zsock *z, const char *url, struct err *e)
{
    char one[ZS_URL];

    for (; url && z->addresses < URLS; z->addresses++) {
        size_t n = ZS_URL;

        url = zsock_url(url, one);
        if (attach(z, one) != 0) {
            /* A wrong address stays wrong; one in use may be free again later. */
            enum err_kind kind = zmq_errno() == EADDRINUSE ? ERR_SYS : ERR_USE;
            return err_set(e, kind, "cannot %s '%s': %s", z->bound ? "bind" : "connect to", one,
                           zmq_strerror(zmq_errno()));
        }
        if (zmq_getsockopt(z->sock, ZMQ_LAST_ENDPOINT, z->address[z->addresses], &n) != 0)
            memcpy(z->address[z->addresses], one, sizeof one);
    }
    return 0;
}

/* Keys are for networks: who comes by a folder that is its owner's needs none. */
static int keys_open(struct zsock *z, const char *url, const char *keys, struct err *e)
{
    if (!keys || !strstr(url, "tcp://"))
        return 0;
    if (!(z->keys = curve_open(keys, z->bound, e)))
        return -1;
    return z->bound ? curve_door_open(z->keys, z->ctx, e) : 0;
}

struct zsock *zsock_open(const char *url, int bind, const char *identity, size_t max_bytes,
                         const char *keys, struct err *e)
{
    struct zsock *z = mem_array(1, sizeof *z, e);

    if (!z)
        return NULL;
    z->bound = bind;
    z->gone = -1;
    z->number = atomic_fetch_add(&sockets, 1) % 10000;
    z->ctx = zmq_ctx_new();
    if (!z->ctx || zmq_ctx_set(z->ctx, ZMQ_THREAD_NAME_PREFIX, z->number) != 0 ||
        !(z->sock = zmq_socket(z->ctx, bind ? ZMQ_ROUTER : ZMQ_DEALER)) ||
        options_set(z, url, identity, max_bytes) != 0 || watch_open(z) != 0) {
        zmq_err(e, "cannot make a socket");
        goto out;
    }
    if (keys_open(z, url, keys, e) == 0 && attach_all(z, url, e) == 0)
        return z;
out:
    zsock_close(&z, 0);
    return NULL;
}

const char *zsock_address(const struct zsock *z, size_t i)
{
    return i < z->addresses ? z->address[i] : NULL;
}

static void refusal_add(void *zsock, const char *who, const char *why)
{
    struct zsock *z = zsock;
    struct refusal *r = &z->refusal[z->refusals];

    if (z->refusals == REFUSALS)
        return;
    z->refusals++;
    r->final = 0;
    snprintf(r->who, sizeof r->who, "%s", who);
    snprintf(r->why, sizeof r->why, "%s", why);
}

int zsock_refused(struct zsock *z, struct refusal *r)
{
    if (!z->refusals)
        return 0;
    *r = z->refusal[0];
    memmove(z->refusal, z->refusal + 1, --z->refusals * sizeof *r);
    return 1;
}

/* A binder's view of a protocol error. */
static const char *broken_text(uint32_t value)
{
    return value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH ? "it came without a key"
           : value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC
               ? "it asked for another key than ours: its " CURVE_HEAD_PUB " is another's"
               : "it does not speak the protocol";
}

/* A connector's view of how a handshake failed. Where both ends see that they do not fit, who is
 * first breaks off, and the other learns no more than that; so it does of one that goes away. And
 * what was damaged on its way looks like another protocol, once. */
static int fail_take(struct zsock *z, uint16_t event, uint32_t value)
{
    const int vague = event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL;

    if (event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL)
        z->lost_at = clock_wall();
    if (event != ZMQ_EVENT_HANDSHAKE_FAILED_AUTH && !(vague && z->keys) && ++z->fails < FAILS)
        return 0;
    refusal_add(
        z, "",
        vague ? z->keys ? "it broke off the handshake: was it started with --keys, and is "
                          "our " CURVE_HEAD_PUB " its own?"
                        : "it breaks off each handshake: it may take only those with a key (--keys)"
        : event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH ? "our key is not among those allowed there"
        : value != ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH ? "it speaks no such protocol"
        : z->keys                                             ? "it was started without --keys"
                  : "it takes only those with a key: --keys DIR, of ptq keys");
    if (z->refusals)
        z->refusal[z->refusals - 1].final = !vague;
    return ZS_REFUSED;
}

/* A connection ended that nobody had accepted. */
static int stranger_gone(struct zsock *z, int fd)
{
    const struct stranger *x = z->keys ? strangers_find(&z->strangers, fd) : NULL;
    const char *why = z->broken;

    z->broken = NULL;
    if (x ? !*x->from : fd != z->gone)
        return 0;
    if (x && !why && z->unlisted && x->since <= z->unlisted_at) { /* that was told */
        z->unlisted--;
        return 0;
    }
    z->gone = -1;
    refusal_add(z, x ? x->from : "a connection",
                why ? why : "it said nothing that can be understood");
    return ZS_REFUSED;
}

/* One change: what it is for the link. value: the connection's descriptor, or why it failed. */
static int change_take(struct zsock *z, uint16_t event, uint32_t value)
{
    int bits;

    switch (event) {
    case ZMQ_EVENT_ACCEPTED:
        strangers_add(&z->strangers, (int)value, clock_wall(), NULL); /* no memory: not watched */
        if (z->keys && !strangers_find(&z->strangers, (int)value))
            z->gone = (int)value;
        return 0;
    case ZMQ_EVENT_ACCEPT_FAILED:
        return value == EMFILE || value == ENFILE ? ZS_FULL : 0;
    case ZMQ_EVENT_CONNECT_RETRIED:
        z->lost_at = 0;
        return 0;
    case ZMQ_EVENT_DISCONNECTED:
        z->lost_at = z->bound ? 0 : clock_wall();
        bits = ZS_DOWN | stranger_gone(z, (int)value);
        strangers_drop(&z->strangers, (int)value);
        return bits;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        z->fails = 0;
        z->lost_at = 0;
        return ZS_UP;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        if (!z->bound)
            return fail_take(z, event, value);
        if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) {
            z->unlisted++;
            z->unlisted_at = clock_wall();
        }
        z->broken = event == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL    ? broken_text(value)
                    : event == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL ? "it left without a key"
                                                                    : NULL;
        return 0;
    default:
        return 0;
    }
}

/* ZeroMQ would ask for the connection again and again, and find no descriptor each time. */
static int full_take(struct zsock *z)
{
    if (z->full)
        return 0;
    for (size_t i = 0; i < z->addresses; i++)
        z->full |= zmq_unbind(z->sock, z->address[i]) == 0;
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

/* Of a connector: ZeroMQ makes a connection that broke anew by itself, unless what came by it was
 * no message (bytes were lost on the way): then it gives the other end up for good. */
static void connect_again(struct zsock *z)
{
    if (z->lost_at <= 0 || clock_wall() - z->lost_at < RETRY_S)
        return;
    zmq_disconnect(z->sock, z->address[0]); /* what may be left of it */
    z->lost_at = attach(z, z->address[0]) == 0 ? 0 : clock_wall();
}

/* Not zmq_poll, which asks each socket four times: the changes are read to the end each time, and
 * so wake the next wait. */
int zsock_wait(struct zsock *z, int fd, int timeout_ms)
{
    void *door = z->keys ? curve_door(z->keys) : NULL;
    struct pollfd on[] = {{fd, POLLIN, 0},
                          {z->fd, POLLIN, 0},
                          {z->watch_fd, POLLIN, 0},
                          {door ? socket_fd(door) : -1, POLLIN, 0}};
    int bits = z->changes;

    z->changes = 0;
    connect_again(z);
    if (is_readable(z->sock))
        bits |= ZS_READABLE;
    if (poll(on, sizeof on / sizeof *on, bits || (door && is_readable(door)) ? 0 : timeout_ms) < 0)
        return bits;
    if (on[0].revents)
        bits |= ZS_CALLED;
    if (on[1].revents)
        bits |= ZS_READABLE;
    if (door && is_readable(door))
        curve_door_serve(z->keys, refusal_add, z);
    if (on[2].revents)
        bits |= watch_read(z);
    return bits | (z->refusals ? ZS_REFUSED : 0);
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
        error = zpart_send(z->sock, &parts[i], i + 1 < count ? ZMQ_SNDMORE : 0, release, owner);
    if (!error)
        return ZS_OK;
    if (i == 0 && !addressed && (error == EAGAIN || error == EHOSTUNREACH))
        return error == EAGAIN ? ZS_AGAIN : ZS_GONE;
    for (; i < count; i++)
        release(owner);
    return err_set(e, ERR_SYS, "cannot send: %s", zmq_strerror(error));
}

int zsock_next(struct zsock *z, struct zid *from, struct err *e)
{
    int n;

    from->n = 0;
    z->from = -1;
    if (!z->bound)
        return is_readable(z->sock);
    n = zmq_recv(z->sock, from->data, sizeof from->data, ZMQ_DONTWAIT);
    if (n < 0)
        return zmq_errno() == EAGAIN ? 0 : zmq_err(e, "cannot receive");
    from->n = (size_t)n;
    return 1;
}

void zsock_admit(struct zsock *z)
{
    if (z->from < 0)
        return;
    z->changes |= watch_read(z); /* its connection may not have been told of yet */
    strangers_drop(&z->strangers, z->from);
}

int zsock_from(const struct zsock *z)
{
    return z->from;
}

void zsock_cut(int fd)
{
    if (fd >= 0 && shutdown(fd, SHUT_RDWR) != 0)
        errno = 0; /* gone, or another's that is no connection */
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
    for (size_t i = 0; i < z->addresses; i++)
        if (attach(z, z->address[i]) != 0)
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
        if (z->from < 0)
            z->from = zmq_msg_get(&m, ZMQ_SRCFD);
        if (!bad && (*count >= lim->parts || zmq_msg_size(&m) > lim->message_bytes - total))
            bad = err_set(e, ERR_DATA, "a message of more than %zu parts or %zu bytes", lim->parts,
                          lim->message_bytes);
        if (!bad && mem_grow((void **)parts, &room, *count + 1, sizeof **parts, e) < 0)
            bad = -1;
        if (!bad) {
            total += zmq_msg_size(&m);
            bad = zpart_take(&m, &(*parts)[*count], e);
            *count += !bad;
        }
        zmq_msg_close(&m);
    } while (more);
    if (bad)
        frame_parts_free(parts, count);
    return bad ? -1 : 1;
}

double zsock_cpu(const struct zsock *z)
{
    return link_cpu(z->number);
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
    curve_close(&(*z)->keys);
    if ((*z)->ctx)
        while (zmq_ctx_term((*z)->ctx) != 0 && zmq_errno() == EINTR)
            ;
    strangers_release(&(*z)->strangers);
    free(*z);
    *z = NULL;
    errno = keep;
}
