/* SPDX-License-Identifier: Apache-2.0 */
/* link_url - checks of socket endpoints that ZeroMQ does not make, or not clearly. */
#ifndef PTQ_LINK_URL_H
#define PTQ_LINK_URL_H

#include "../base/err.h"

/* Refuses what is not an endpoint (without its "@") or would let anybody on the network in, unless
 * open says that it may; makes the folder of an ipc socket. */
int url_check(const char *url, int bind, int open, struct err *e);

#endif
