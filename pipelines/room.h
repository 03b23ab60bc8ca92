/* SPDX-License-Identifier: Apache-2.0 */
/* room - may a process of this run have the memory that its stage will take? */
#ifndef PTQ_ROOM_H
#define PTQ_ROOM_H

#include "../common/base/err.h"
#include "../common/model/config.h"
#include "../common/model/sites.h"
#include "launch.h"
#include "route.h"

/* t: parsed, its shapes checked against the model. -1, by the name of the stage, where the address
 * space of a process is limited (ulimit -v) to less than one of its processes takes at least: the
 * program and its libraries, and what is foreseen. */
int room_check(const struct route *t, const struct config *c, const struct sites *sites,
               struct err *e);
/* -1 where a process may open fewer descriptors (ulimit -n, the hard limit: processes raise the
 * soft one) than one of this plan does; recipes without programs of ours are not judged. */
int room_files(const struct launch *l, struct err *e);
/* Said where a process of the run was ended by a signal: the limit of address space, "" without. */
void room_suspect(char *out, size_t size);

#endif
