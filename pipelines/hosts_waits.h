/* SPDX-License-Identifier: Apache-2.0 */
/* hosts_waits - what the processes of workers stood still for: each worker says it with its pings
 * (INTERFACES.md, 4.1), the head keeps it as it does of its own processes. */
#ifndef PTQ_HOSTS_WAITS_H
#define PTQ_HOSTS_WAITS_H

#include <stddef.h>
#include "../common/base/json.h"
#include "waits.h"

#define HOSTS_WAITS_EACH 64 /* processes of one worker that are kept */

struct host_waits {
    char name[128], stage[32]; /* "HOST forward.1"; forward */
    size_t host;
    double from, to; /* clock_wall: when it began, when it was last heard of */
    struct waits w;
};

struct hosts_waits {
    struct host_waits **row; /* owned, with the list */
    size_t count, room;
};

/* Field `processes` of a ping of worker number `host`, called name: [{"name", "age", "waited"}].
 * What is not so, or more than HOSTS_WAITS_EACH of them, is passed over. */
void hosts_waits_take(struct hosts_waits *x, size_t host, const char *name,
                      const struct json *processes, double now);
void hosts_waits_release(struct hosts_waits *x);

#endif
