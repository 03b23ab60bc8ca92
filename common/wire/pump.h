/* SPDX-License-Identifier: Apache-2.0 */
/* pump - the loop of a stage: messages come in, a handler for their kind deals with each, until all
 * is there, a stream breaks, or the process is asked to stop.
 *
 * A stage says which links it has, which handler takes which kind, and what "all" is; the loop, the
 * waiting and the ends are the same for all stages:
 * - A handler runs to its end: what is in hand when SIGTERM comes is finished.
 * - Then a stage may leave when everyone it sends to goes on without it (elastic links): its stream
 *   ends properly, and what it did not take goes to another. Anywhere else its stream is ended as
 *   cut short, with the reason, and so is it after an error.
 * - A process that is told to rest (pause.h) does so before it takes a message.
 * The pump opens and closes no link and owns none. One thread at a time may use it. */
#ifndef PTQ_PUMP_H
#define PTQ_PUMP_H

#include "../base/err.h"
#include "link.h"

#define PUMP_INS 2
#define PUMP_OUTS 2

/* What a handler returns, with e set, when the message itself is at fault: its sender is refused.
 * An elastic one is forgotten and the stage goes on, any other ends it (link_refuse). */
#define PUMP_REFUSED (-2)

/* Who takes which kinds (LINK_KIND) that come in by a link. take: 0, or -1 or PUMP_REFUSED with e
 * set. *m is destroyed afterwards unless the handler has taken it over, and then set *m to NULL. */
struct pump_take {
    unsigned kinds; /* 0: the end of the list */
    int (*take)(void *ctx, struct msg **m, struct err *e);
};

struct pump_in {
    struct link *link;            /* LINK_IN; NULL: there is none */
    const struct pump_take *take; /* the list lives as long as the pump; by NULL all is refused */
    /* The stream has ended properly: 0, or -1 when it ended too early. NULL: it may end. */
    int (*ended)(void *ctx, struct err *e);
    int over; /* kept by the pump: it has ended */
};

struct pump {
    void *ctx; /* of all handlers */
    /* the first that has a message is served first; then each that has one */
    struct pump_in in[PUMP_INS];
    /* LINK_OUT; NULL: none. While the pump waits it fails when one of them has failed. */
    struct link *out[PUMP_OUTS];
    /* 1: all is there. Asked before each wait. NULL: when every stream has ended. */
    int (*done)(void *ctx);
    /* Called each idle_ms in which nothing came, 0 or -1. NULL: never. */
    int (*idle)(void *ctx, struct err *e);
    int idle_ms; /* above half a second: to the half second */
    int steps;   /* kept by the pump: waits since it was last called */
    /* Being asked to stop is no failure of this stage, even where its stream is cut short by it. */
    int stop_is_fine;
};

/* The kinds of a list of handlers, for link_opts.takes. */
unsigned pump_kinds(const struct pump_take *take);

/* Waits until every link has its peers, then says so by a status line. 1; 0: asked to stop before;
 * -1. */
int pump_join(struct pump *p, struct err *e);

/* Receives and handles. 1: done, or every stream has ended; 0: asked to stop, also where a stream
 * breaks after that; -1: a stream or a handler failed, or a message came that nobody handles
 * (ERR_USE). */
int pump_run(struct pump *p, struct err *e);

/* Ends what goes out, after pump_run said rc: 1 complete; 0 asked to stop; < 0 cut short, with e's
 * words as the reason. Returns 0, or -1 with e set: after rc < 0 with the error that was there;
 * after rc 0 (ERR_SYS) where the stage may not leave and stop_is_fine is not set. */
int pump_end(struct pump *p, int rc, struct err *e);

/* Takes what still comes by a link and drops it, until the stream has ended. 1; 0: asked to stop;
 * -1. l NULL: 1. */
int pump_drop(struct link *l, struct err *e);

#endif
