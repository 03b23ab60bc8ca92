/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_url - the address at which workers of other hosts reach the head (--listen). */
#ifndef PTQ_HOSTS_URL_H
#define PTQ_HOSTS_URL_H

#include "../common/wire/link_zmq.h"

#define HOSTS_PORT_MAX 65535

/* "tcp://ADDRESS:PORT" taken apart: base is tcp://ADDRESS, port 0 any. open: it has keys, or may
 * let anybody in. ERR_USE: it is none, or would let anybody in. Nothing is bound. */
int hosts_url_read(const char *listen, int open, char base[ZS_URL], long *port, struct err *e);

#endif
