/* SPDX-License-Identifier: Apache-2.0 */
/* replace_begin - a further process at the place of one that is lost, and who deals its lanes once
 * more; for replace.c and hosts_again.c, which know when. */
#ifndef PTQ_REPLACE_BEGIN_H
#define PTQ_REPLACE_BEGIN_H

#include "supervise_state.h"

/* One like process `like`, which comes to a place, and to the ports that were bound there; lanes:
 * which it gets by a sampler of its own, NULL: none. Its number; -1. */
int begin_at(struct supervise *s, size_t like, const char *lanes, const char *lease, uint64_t from,
             struct err *e);

/* ---- for lanes of workers of other hosts; like: a forward process ---- */

/* Deals these lanes once more, among so many workers of other hosts, who connect to `at`
 * (ipc://..., of which the head knows the port). */
int begin_deal(struct supervise *s, size_t like, const char *lanes, size_t peers, char *at,
               size_t size, struct err *e);
/* One forward process of this host takes them, behind the sites before `from`, at the place and
 * epoch of the lease. */
int begin_stand_in(struct supervise *s, size_t like, const char *lanes, const char *lease,
                   uint64_t from, struct err *e);

#endif
