/* SPDX-License-Identifier: Apache-2.0 */
/* hosts - the head's side of a run on several hosts: who has joined, and what each is told to run.
 *
 * Workers (worker.h) reach the head at one address (--listen) and come and go at any time. What the
 * processes of the run bind they also bind by tcp; a worker is told which processes it is to start
 * and where they connect. Both sides say something each second: the worker which work it knows, the
 * head, where that is another than it wants, the work. So nothing depends on one message. What is
 * said: INTERFACES.md, 4.1.
 *
 * Solvers are elastic and need nothing more. Forward processes of a worker keep their rows on it:
 * a reducer there sums each lane up, and only these sums travel (hosts_parts.h). When one of them
 * is lost, or the worker, its lanes are leased again (hosts_again.h), and all others go on. */
#ifndef PTQ_HOSTS_H
#define PTQ_HOSTS_H

#include <stddef.h>
#include <stdint.h>
#include "../common/base/err.h"
#include "../common/base/json.h"
#include "hosts_types.h"
#include "hosts_waits.h"
#include "launch.h"

struct supervise;
struct hosts;

/* Binds. ERR_USE where that would let anybody in. */
struct hosts *hosts_open(const struct hosts_opts *o, struct err *e);
void hosts_close(struct hosts **h);
const char *hosts_address(const struct hosts *h);

/* The processes of the plan bind their sockets by tcp too, on the ports behind that of the head. */
int hosts_listen(struct hosts *h, struct launch *plan, struct err *e);
/* One of them has: `here` can be reached at `at` from elsewhere. */
void hosts_bound(struct hosts *h, const char *here, const char *at);
/* 1: as many have joined as the run waits for. */
int hosts_are_there(const struct hosts *h);
/* All processes of the run are started, again: what was bound is no more. From here on those
 * workers take part in the forward pass that are there now and offer it. */
void hosts_begin(struct supervise *s);
/* Before one of the run's own processes starts: for how many others it has to wait. */
int hosts_fit(const struct supervise *s, struct launch_process *p, struct err *e);
/* 1: what a worker did of the forward pass is lost, as *e (may be NULL) says: it is to be leased
 * again (hosts_again.h), or else the run begins again. */
int hosts_lost(const struct hosts *h, struct err *e);
/* {"cmd": "drain", "host": NAME}: the workers of that name leave as by SIGTERM; answered when they
 * have. 1: dealt with; 0: another request. */
int hosts_request(struct supervise *s, uint64_t client, const char *cmd,
                  const struct json *request);
/* An array of {"name", "state", "forward", "solve"}, for who looks at the run; NULL: no memory. */
struct json *hosts_list(const struct hosts *h);
/* What processes of workers stood still for. */
const struct hosts_waits *hosts_waited(const struct hosts *h);
/* Some take part in it. */
int hosts_share(const struct hosts *h);
/* Listens and answers; after every turn of the supervisor. */
void hosts_tick(struct supervise *s);
/* The checkpoint is published: all are told, once. */
void hosts_complete(struct hosts *h);
/* The run has ended, as e says (kind 0: well): all are told. */
void hosts_end(struct hosts *h, const struct err *e);

#endif
