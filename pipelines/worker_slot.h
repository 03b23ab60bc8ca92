/* SPDX-License-Identifier: Apache-2.0 */
/* worker_slot - one process of a worker: what the head said of it, held against what a head may
 * say, and what became of it.
 *
 * A head may name four programs (importance, forward, reduce, solve), and of their options those
 * that name no file here; its words never reach a shell. Ends are on the host by which the head was
 * reached: a head says their ports. */
#ifndef PTQ_WORKER_SLOT_H
#define PTQ_WORKER_SLOT_H

#include "../common/base/err.h"
#include "../common/base/json.h"
#include "../common/base/stage.h"
#include "child.h"

/* What a worker adds to what it is told. */
struct worker_terms {
    const char *host;                /* of the head, as tcp://HOST */
    const char *keys;                /* or NULL */
    const char *model;               /* folder; NULL: the head's */
    const char *sockets;             /* folder for what is bound here */
    int64_t threads, forward, solve; /* of all, and how many processes share them */
    uint64_t mem;                    /* of the forward pass; 0: as the head says */
};

/* Of each of so many processes that share them. */
int64_t slot_threads(const struct worker_terms *t, int64_t among);

struct slot {
    char *said; /* the head's words for it, by which it is known */
    struct launch_process plan;
    struct child child;
    size_t starts;
    int64_t epoch;
    double again;        /* when it is to be started again; 0: not */
    struct json *waited; /* what it has told last of its waiting; NULL: nothing */
    char lanes[256];     /* that it holds, as it said; "": it has not said, "-": none */
    double lost;         /* since when a neighbour here has given it up; 0: none has */
    double unwanted;     /* since when the head does not speak of it any more; 0: it does */
};

/* What the head said of one process. ERR_USE: it may not say that. */
struct slot *slot_create(const struct json *said, const struct worker_terms *t, struct err *e);
/* The option that this word of a command gives, where it may name a file and so is not told to a
 * worker; NULL: a head may say it. */
const struct opt *slot_file_option(const struct stage *st, const char *word);
void slot_destroy(struct slot **s); /* its process has ended */
int slot_is(const struct slot *s, const struct json *said);
/* {"name", "epoch", "age"?, "waited"?, "lanes"?, "done"?} for the head; NULL: no memory. */
struct json *slot_describe(const struct slot *s);

#endif
