/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_state - what the head knows of its workers; for hosts.c, hosts_again.c, replace_begin.c. */
#ifndef PTQ_HOSTS_STATE_H
#define PTQ_HOSTS_STATE_H

#include "../common/tensor/blas_cpu.h"
#include "../common/wire/link_zmq.h"
#include "hosts_parts.h"
#include "hosts_ports.h"
#include "hosts_types.h"
#include "hosts_waits.h"

#define HOSTS_QUIET_S 3.0 /* who has said nothing for so long may have no connection any more */

struct host {
    struct zid id;
    char name[64], kernels[BLAS_KIND];
    int64_t solve, forward; /* processes that it offers */
    double pace;            /* flops a second of one of its forward processes */
    double heard, probed;
    double joined;
    int gone;
    int has_model;    /* it has said so, or needs none */
    int borrows;      /* it has said that it gets a copy */
    int unfit;        /* for the forward pass: it could not, and could not again */
    uint64_t drainer; /* the client of the control socket that has asked it to leave; 0: nobody */
};

struct lend;

struct hosts {
    struct zsock *z;
    struct hosts_opts o;
    struct hosts_ports ports;
    int64_t epoch; /* how often the processes have been started */
    int64_t turn;  /* how often parts have been leased */
    struct hosts_shares shares;
    double pace; /* flops a second of a thread here; 0: not known yet */
    struct hosts_parts parts;
    double refused_at; /* since when those are counted that are refused: */
    uint64_t refused;
    int rests;         /* whether the workers were told that the run is paused */
    int complete;      /* and that it is complete */
    double looked;     /* when it was last asked whether beginning again gains */
    struct lend *lend; /* NULL: no worker needs the model */
    int lends;         /* whether that has been asked */
    int told;          /* why the forward pass cannot be shared */
    struct err
        gains; /* why the run is to begin again although nothing is lost; kind 0: it is not */
    struct host *host;
    size_t count, room;
    struct hosts_waits waits;
};

#endif
