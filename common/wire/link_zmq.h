/* SPDX-License-Identifier: Apache-2.0 */
/* link_zmq - the few things a link needs of ZeroMQ: one socket, multipart messages without
 * copies, who came and went. */
#ifndef PTQ_LINK_ZMQ_H
#define PTQ_LINK_ZMQ_H

#include <stddef.h>
#include "../base/err.h"
#include "frame.h"

struct zid {
    unsigned char data[255];
    size_t n;
}; /* routing id; n 0 on a connector */

struct zsock;

enum { ZS_OK = 0, ZS_AGAIN = 1, ZS_GONE = 2 }; /* -1: error */
/* READABLE: it may be that a message has come. FULL: a connection could not be taken, the process
 * has no descriptor left: no more are taken until zsock_retry. REFUSED: zsock_refused has something
 * to tell. CALLED: the descriptor to wait on is readable. */
enum { ZS_READABLE = 1, ZS_UP = 2, ZS_DOWN = 4, ZS_FULL = 8, ZS_REFUSED = 16, ZS_CALLED = 32 };

#define ZS_URL 256
/* "URL", or of an end that binds "URL,tcp://HOST:PORT": takes the first of them, returns the rest,
 * NULL: there is none. */
const char *zsock_url(const char *url, char first[ZS_URL]);
int zsock_is_tcp(const char *url);

/* identity: what a connector is called by the binder. max_bytes: a larger part is refused before
 * it is allocated. keys: folder of keys (curve.h) for tcp, or NULL. */
struct zsock *zsock_open(const char *url, int bind, const char *identity, size_t max_bytes,
                         const char *keys, struct err *e);
/* Of the i-th URL; NULL: there are no more. */
const char *zsock_address(const struct zsock *z, size_t i);
/* Waits for input, a change of connections or fd; ZS_* bits. */
int zsock_wait(struct zsock *z, int fd, int timeout_ms);
/* Never blocks. After ZS_OK and -1 release(owner) is called once per part, now or later and on
 * any thread; after ZS_AGAIN (no connection, or full) and ZS_GONE (no such peer) nothing was
 * taken. */
int zsock_send(struct zsock *z, const struct zid *to, const struct part *parts, size_t count,
               void (*release)(void *), void *owner, struct err *e);
/* 1: a message has come, from this peer; zsock_recv must follow. 0: none now; -1. */
int zsock_next(struct zsock *z, struct zid *from, struct err *e);
/* 1: the message, *parts malloc'd, each part owns its memory; 0: none now; -1 error (also more than
 * the limits: message dropped). */
int zsock_recv(struct zsock *z, struct part **parts, size_t *count, const struct frame_limits *lim,
               struct err *e);
/* A binder: who sent the message that came last is known now. Connections of those who are not are
 * cut off when they go too far (strangers.h): zsock_sweep does it, and says how many. */
void zsock_admit(struct zsock *z);
size_t zsock_sweep(struct zsock *z, double now);
size_t zsock_strangers(const struct zsock *z);
/* A connection that did not come about: of a binder with keys who was refused and why, of a
 * connector that the other end refuses it. 1, 0: none is left to tell. */
struct refusal {
    char who[64], why[240];
    int final; /* of a connector: there will be no other try */
};
int zsock_refused(struct zsock *z, struct refusal *r);
/* After ZS_FULL: takes connections again. 0, -1. */
int zsock_retry(struct zsock *z, struct err *e);
/* The connection by which the last message came: its descriptor, -1: not known. Cut off by
 * zsock_cut it is made anew by the end that connects; one that is gone already is none. */
int zsock_from(const struct zsock *z);
void zsock_cut(int fd);
double zsock_cpu(const struct zsock *z); /* CPU seconds of ZeroMQ's own thread */
void zsock_close(struct zsock **z, int linger_ms);

#endif
