/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_work - what a worker is to run: the commands of a run's own processes, with other ends. */
#ifndef PTQ_HOSTS_WORK_H
#define PTQ_HOSTS_WORK_H

#include "../common/base/json.h"
#include "hosts_parts.h"
#include "hosts_ports.h"
#include "hosts_types.h"
#include "supervise_state.h"

/* 0; ERR_USE: the forward pass of this recipe is not for several hosts, and why. own is set. */
int hosts_shares_find(const struct supervise *s, struct hosts_shares *x, struct err *e);
/* The numbers of others that process p of the run is to wait for. */
int hosts_shares_fit(const struct supervise *s, const struct hosts_shares *x,
                     struct launch_process *p, struct err *e);

/* Before the start: warns of each stage of solvers with which workers cannot help, as its command
 * names what is on this host. */
void hosts_solvers_say(const struct supervise *s);
/* Processes for a worker, an array of {"name", "epoch", "command"}: so many solvers of each stage
 * with which a worker can help and the processes of its part, unless that is NULL or lost, or it is
 * not known yet where its lanes are dealt again. Empty while the places of the run are not all
 * known. NULL: no memory. */
struct json *hosts_work(const struct supervise *s, const struct hosts_ports *ports, int64_t epoch,
                        int64_t solve, const struct hosts_part *part);
/* The names of the stages of a run that hosts_shares_find has found fit, as its processes bear
 * them (NULL: workers do not weigh); the first process of the forward stage, after which others can
 * be made. */
const char *hosts_forward_name(const struct supervise *s);
const char *hosts_reduce_name(const struct supervise *s);
const char *hosts_weigher_name(const struct supervise *s);
size_t hosts_forward_first(const struct supervise *s);
/* Where the lanes of the run are dealt, to workers too, and the first of its own processes that get
 * some there: of the forward stage, or where workers weigh of the one before it. */
const char *hosts_dealt_at(const struct supervise *s, const struct launch_process **own);

#endif
