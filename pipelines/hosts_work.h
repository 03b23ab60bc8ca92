/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_work - what a worker is to run: the commands of a run's own processes, with other ends. */
#ifndef PTQ_HOSTS_WORK_H
#define PTQ_HOSTS_WORK_H

#include "../common/base/json.h"
#include "supervise_state.h"

/* Where what is bound here can be reached. */
struct hosts_place {
    char *here, *at; /* ipc://..., tcp://ADDRESS:PORT */
};

struct hosts_places {
    size_t count, room;
    struct hosts_place *at;
};

/* How the forward pass is shared out. */
struct hosts_shares {
    size_t own;              /* forward processes of this host */
    size_t forwards, others; /* those of workers, and of how many */
};

/* 0; ERR_USE: the forward pass of this recipe is not for several hosts, and why. own is set. */
int hosts_shares_find(const struct supervise *s, struct hosts_shares *x, struct err *e);
/* The numbers of others that process p of the run is to wait for. */
int hosts_shares_fit(const struct supervise *s, const struct hosts_shares *x,
                     struct launch_process *p, struct err *e);

/* Before the start: warns of each stage of solvers with which workers cannot help, as its command
 * names what is on this host. */
void hosts_solvers_say(const struct supervise *s);
/* Processes for a worker, an array of {"name", "epoch", "command"}: so many solvers of each stage
 * with which a worker can help and, unless forward is 0, forward processes with a reducer. Empty
 * while the places of the run are not all known. NULL: no memory. */
struct json *hosts_work(const struct supervise *s, const struct hosts_places *p, int64_t epoch,
                        int64_t solve, int64_t forward);

#endif
