/* SPDX-License-Identifier: Apache-2.0 */
/* owner - a lock file that says who holds it and since when.
 *
 * The lock is an flock: it goes with the process, however that ends, so a file without one was
 * left behind. */
#ifndef PTQ_OWNER_H
#define PTQ_OWNER_H

#include "err.h"

#define OWNER_TEXT 80

/* Takes the lock of the open file and writes this process and the time into it. 0; 1: somebody
 * else holds it; -1. */
int owner_take(int fd, const char *path, struct err *e);
/* 1: the lock is held, and who says by whom: "process 123, since 2026-11-29 01:02:03"; 0: nobody
 * holds it, or there is no such file. */
int owner_lives(const char *path, char who[OWNER_TEXT]);

#endif
