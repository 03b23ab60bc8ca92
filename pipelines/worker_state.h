/* SPDX-License-Identifier: Apache-2.0 */
/* worker_state - what a worker knows of itself and its processes; for worker.c, worker_say.c. */
#ifndef PTQ_WORKER_STATE_H
#define PTQ_WORKER_STATE_H

#include "../common/wire/link_zmq.h"
#include "rundir.h"
#include "worker_model.h"
#include "worker_opts.h"
#include "worker_slot.h"

struct worker {
    const struct stage *stage;
    const struct worker_command *command;
    struct worker_terms terms;
    char host[ZS_URL], name[WORKER_NAME], identity[40];
    struct zsock *z;
    struct rundir dir;
    struct worker_model model;
    double pace; /* flops a second of one of its forward processes, see blas_pace.h */
    int sigfd;
    struct slot *slot[WORKER_SLOTS];
    size_t count;
    int64_t number; /* of the work that is known; 0: none */
    double heard, said;
    double unanswered;  /* since when nobody answers; 0: somebody does */
    double told;        /* when that is said next */
    struct err refused; /* by whom it tries to reach, since it was heard last; kind 0: it is not */
    uint64_t refusals;
    int ending;   /* nothing is started any more: the run has ended, or this worker leaves */
    double ended; /* since when */
    int rests;    /* the run is paused */
    int asked;    /* SIGTERM or SIGINT, or by the head: how many */
    /* a process of the forward pass, which is nothing that it could start again by itself */
    struct err failed;
    int64_t failed_epoch;
    int failed_cause;
    double failed_at; /* since when that is known, and a cause is looked for; 0: it was said */
    struct err lost;  /* why it goes, where that is a failure */
};

#endif
