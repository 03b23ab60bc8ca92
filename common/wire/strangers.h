/* SPDX-License-Identifier: Apache-2.0 */
/* strangers - connections that somebody made and nobody has accepted yet. ZeroMQ takes whatever
 * comes by them into memory, a message that never ends too, and has no bound for all of it: so
 * each is cut off that sends more than a hello can have, or says none in time; and those that have
 * sent most, while all together hold too much.
 *
 * Bytes are counted by the kernel, on TCP alone; the folder of an ipc socket is its owner's. One
 * thread at a time. */
#ifndef PTQ_STRANGERS_H
#define PTQ_STRANGERS_H

#include <stddef.h>
#include <sys/types.h>
#include "../base/err.h"

#define STRANGER_BYTES ((size_t)256 << 10)
#define STRANGER_S 10.0
#define STRANGERS_BYTES ((size_t)4 << 20) /* all together */

#define STRANGER_NAME 56

struct stranger {
    int fd;
    char from[STRANGER_NAME]; /* its address; "": not over a network */
    ino_t socket;             /* the number may soon be another file's */
    double since;
    unsigned long long bytes; /* that have come, when it was last looked at */
};

struct strangers {
    struct stranger *at;
    size_t count, room;
    unsigned long long cut; /* off, so far */
};

/* A connection has come at this time; now: as clock_wall. */
int strangers_add(struct strangers *s, int fd, double now, struct err *e);
/* NULL: it is accepted, gone, or cut off. */
const struct stranger *strangers_find(const struct strangers *s, int fd);
/* It is accepted, or gone. */
void strangers_drop(struct strangers *s, int fd);
/* Cuts off those that went too far: how many. */
size_t strangers_sweep(struct strangers *s, double now);
void strangers_release(struct strangers *s);

#endif
