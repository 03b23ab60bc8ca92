/* SPDX-License-Identifier: Apache-2.0 */
/* far_clock - LD_PRELOAD: each look at the monotonic clock finds it a second further than the one
 * before. Who says something every so often does so each time that it may, on a machine of any
 * speed. */
#include <dlfcn.h>
#include <stdatomic.h>
#include <time.h>

static atomic_long looks;

int clock_gettime(clockid_t id, struct timespec *t)
{
    static int (*real)(clockid_t, struct timespec *);

    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    if (real(id, t) < 0)
        return -1;
    if (id == CLOCK_MONOTONIC)
        t->tv_sec += (time_t)atomic_fetch_add(&looks, 1);
    return 0;
}
