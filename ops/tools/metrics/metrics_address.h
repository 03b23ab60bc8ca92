/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_address - where the page of the metrics may be: also for who only asks. */
#ifndef PTQ_METRICS_ADDRESS_H
#define PTQ_METRICS_ADDRESS_H

#include <sys/socket.h>
#include "../../../common/base/err.h"

/* "ADDRESS:PORT", numbers only. anywhere: 0 refuses what is more than loopback. */
int metrics_address_read(const char *address, int anywhere, struct sockaddr_storage *a,
                         struct err *e);

#endif
