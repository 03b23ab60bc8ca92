/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_ports - where the sockets of a run can be reached from other hosts: each that its processes
 * bind by ipc is bound by tcp too, on the ports behind that of the head or, where that is any, on
 * any. */
#ifndef PTQ_HOSTS_PORTS_H
#define PTQ_HOSTS_PORTS_H

#include <stddef.h>
#include "../common/wire/link_zmq.h"
#include "launch.h"

struct hosts_place {
    char *here, *at; /* ipc://..., tcp://ADDRESS:PORT */
};

struct hosts_ports {
    char base[ZS_URL]; /* tcp://ADDRESS */
    long last;         /* port that was given last, at first that of the head; 0: any */
    const char *keys;  /* folder, borrowed, or NULL */
    size_t count, room;
    struct hosts_place *place; /* owned: ports_release */
};

/* What the process binds it is to bind by tcp too, with these keys. */
int ports_give(struct hosts_ports *x, struct launch_process *p, struct err *e);
/* The next port, as tcp://ADDRESS:PORT; the caller's. */
char *ports_next(struct hosts_ports *x, struct err *e);
/* It comes to the place of another: on the ports that this one had. */
int ports_keep(const struct hosts_ports *x, struct launch_process *p, struct err *e);
/* A process has bound `here`, which can be reached at `at`. */
void ports_bound(struct hosts_ports *x, const char *here, const char *at);
/* tcp://ADDRESS:PORT of an ipc endpoint; NULL: not known, or not yet. */
const char *ports_at(const struct hosts_ports *x, const char *here);
void ports_forget(struct hosts_ports *x); /* all places: what was bound is no more */
void ports_release(struct hosts_ports *x);

#endif
