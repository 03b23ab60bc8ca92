/* SPDX-License-Identifier: Apache-2.0 */
/* watch - how far a run is, from the status lines of its stages.
 *
 * Work is counted in flops: a site costs its share of the forward pass, its triangle of the
 * Hessian and its solve (notes in watch.c), so the time left follows from what the done share
 * took, not from a count of blocks. */
#ifndef PTQ_WATCH_H
#define PTQ_WATCH_H

#include <stddef.h>
#include <stdint.h>
#include "../common/base/err.h"
#include "../common/base/json.h"
#include "../common/model/sites.h"

#define WATCH_WORKERS 1024

struct watch {
    /* NULL: model not known, states of the stages are all there is to say; the caller's */
    const struct sites *sites;
    uint64_t tokens;    /* of the calibration */
    double began;       /* clock_wall at the start, later by as long as the run has rested */
    double paused;      /* since when it rests; 0: it does not */
    uint64_t committed; /* sites made durable */
    struct {
        int64_t order;        /* of the site it works at; -1: none yet */
        uint64_t done, total; /* chunks of that site */
    } worker[WATCH_WORKERS];
    size_t workers;
    /* A stage that knows the whole of its work (status_job): then that is the run's */
    struct {
        uint64_t done, total, from; /* from: done when it was first heard */
        double at;                  /* watch_spent() then */
        char note[128];
    } job;
    char state[160]; /* last state of any stage, for runs whose model is not known */
    int live;        /* stderr is a terminal */
    int drawn;
    double said; /* when the last plain line went out */
    uint64_t said_block;
};

/* s NULL: not known */
void watch_init(struct watch *w, const struct sites *s, uint64_t tokens);
/* A status line of process number i of the run. */
void watch_status(struct watch *w, size_t i, const struct json *j);
/* The run begins again behind so many sites, with other workers. */
void watch_again(struct watch *w, uint64_t committed);
/* Process number i is no more: another has its work. */
void watch_forget(struct watch *w, size_t i);
/* The run rests, or goes on: no time goes by for it. */
void watch_pause(struct watch *w, int paused);
double watch_spent(const struct watch *w); /* seconds at work */
double watch_share(const struct watch *w); /* of the work done, 0 to 1 */
/* Seconds that are left; not a number: not known yet. */
double watch_left(const struct watch *w);
/* live line, or a plain one when it is due */
void watch_draw(struct watch *w);
void watch_clear(struct watch *w); /* before anything else is printed */

#endif
