/* SPDX-License-Identifier: Apache-2.0 */
/* fetch - a worker that has no copy of the model gets one from its head (lend.h), into a folder of
 * copies (copy.h). A thread with a socket of its own; it asks on until it is closed, and what has
 * come stays for the next time. */
#ifndef PTQ_FETCH_H
#define PTQ_FETCH_H

#include <stdint.h>
#include "../common/base/err.h"

struct fetch_opts {
    const char *url;      /* of who lends */
    const char *identity; /* what this end is called there; differs from all others */
    const char *keys;     /* folder, or NULL */
    const char *dir;      /* of the copies */
    uint64_t most;        /* bytes of a model; more is refused */
};

enum fetch_state {
    FETCH_ASKS,   /* the head reads its files, and says how many of its bytes it has read */
    FETCH_WAITS,  /* another process of this host makes the same copy */
    FETCH_COPIES, /* bytes of it are there */
    FETCH_DONE,
    FETCH_FAILED
};

struct fetch;

struct fetch *fetch_open(const struct fetch_opts *o, struct err *e);
/* How far it is: so many bytes of so many. */
enum fetch_state fetch_look(struct fetch *f, uint64_t *bytes, uint64_t *of);
/* After DONE: what ptq-forward takes as --model. Lives as long as f. */
const char *fetch_model(const struct fetch *f);
/* After DONE: how many bytes of it came this time. */
uint64_t fetch_came(const struct fetch *f);
/* After FAILED: why. */
const struct err *fetch_error(const struct fetch *f);
void fetch_close(struct fetch **f);

#endif
