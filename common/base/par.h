/* SPDX-License-Identifier: Apache-2.0 */
/* par - run independent tiles on a few threads.
 *
 * par_for calls fn(ctx, i, worker) for every i in [0, n); which thread takes which i is left to
 * chance, so fn must write to places that belong to i alone: then results do not depend on the
 * number of threads. worker in [0, threads) picks scratch space. With threads = 1, and
 * where p is NULL, it is a plain loop. The first error stops the rest and is returned. */
#ifndef PTQ_PAR_H
#define PTQ_PAR_H

#include <stddef.h>
#include "err.h"

struct par;

/* threads >= 1; threads-1 helpers wait on a condition. NULL: no memory, or no thread. */
struct par *par_open(size_t threads, struct err *e);
size_t par_threads(const struct par *p);
int par_for(struct par *p, size_t n, int (*fn)(void *ctx, size_t i, size_t worker, struct err *e),
            void *ctx, struct err *e);
void par_close(struct par **p); /* waits for the helpers; nothing may be running */

#endif
