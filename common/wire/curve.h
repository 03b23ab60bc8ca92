/* SPDX-License-Identifier: Apache-2.0 */
/* curve - who may connect over a network: CURVE keys in two kinds of folders, and the door of an
 * end that binds, which lets in whose key is listed and nobody else.
 *
 * Of an end that binds: `head.key` (its pair) and `allowed` (a line for each that may come: NAME
 * KEY). Of one that connects: `worker.key` (its pair) and `head.pub` (the key that the other must
 * prove to have). Files *.key are secret: they are refused where others than their owner can read
 * them. A pair is two lines, `public KEY` and `secret KEY`, head.pub the first of them; keys are
 * 40 characters of Z85.
 *
 * The door answers for one ZeroMQ context (ZAP), on the thread of whoever serves it. It opens
 * before a socket of that context binds with keys: with no door ZeroMQ would let in whoever has any
 * key. Sockets and contexts are ZeroMQ's, as void pointers.
 */
#ifndef PTQ_CURVE_H
#define PTQ_CURVE_H

#include <stddef.h>
#include "../base/err.h"

#define CURVE_TEXT 41 /* a key, with the NUL */
#define CURVE_NAME 64
#define CURVE_HEAD_KEY "head.key"
#define CURVE_HEAD_PUB "head.pub"
#define CURVE_WORKER_KEY "worker.key"
#define CURVE_ALLOWED "allowed"

struct curve_pair {
    char open[CURVE_TEXT], secret[CURVE_TEXT]; /* the key that others know, and the other */
};

/* ERR_SYS where ZeroMQ was built without CURVE. */
int curve_pair_make(struct curve_pair *p, struct err *e);
int curve_pair_read(const char *path, struct curve_pair *p, struct err *e);
/* 1: fit for the list of those who may come: letters, digits, '.', '-', '_'. */
int curve_name_fits(const char *name);

struct curve;
/* The keys of one end. ERR_USE names the file, and what is wrong with it. */
struct curve *curve_open(const char *dir, int bind, struct err *e);
void curve_close(struct curve **c); /* before the context; after its sockets */

/* The next bind or connect of this socket is with keys, or, on 0, without. 0/-1. */
int curve_use(const struct curve *c, void *sock, int on);

/* Of an end that binds. who: whose connection was refused, an address. */
typedef void curve_refused(void *ctx, const char *who, const char *why);
int curve_door_open(struct curve *c, void *zmq_ctx, struct err *e);
void *curve_door(const struct curve *c); /* to poll; NULL: it has none */
/* Answers all who wait; never blocks. */
void curve_door_serve(struct curve *c, curve_refused *refused, void *ctx);

#endif
