/* SPDX-License-Identifier: Apache-2.0 */
/* resume - going on with a run that ended before its checkpoint was there.
 *
 * OUT/.ptqflow/job.json says what a run was asked for, OUT/.ptqflow/parts holds what it has
 * committed. A run that is asked for the same goes on behind the last site of a stop up to which
 * all are committed: its tokens pass through the committed blocks once more, but nothing of them
 * is summed or solved again. The bytes are those of a run that was never interrupted. */
#ifndef PTQ_RESUME_H
#define PTQ_RESUME_H

#include <stddef.h>
#include <stdint.h>
#include "../common/base/err.h"
#include "../common/base/json.h"
#include "../common/model/sites.h"
#include "launch.h"
#include "route.h"

/* What the run is asked for, as far as a number depends on it: {"recipe", "version",
 * "stages": [{"name", "program", "options": {"bits": ["4"], ...}}]}. Owned by the caller; NULL on
 * error. */
struct json *resume_job(const struct route *t, const struct launch *p, struct err *e);
/* Sites that an unfinished run in `out` has committed and that this run need not compute, which is
 * asked for `job`; 0: it starts from nothing. ERR_USE: the other was asked for something else, or
 * does not say for what. */
int resume_find(const char *out, const struct json *job, const struct sites *s, uint64_t *from,
                struct err *e);
/* The same of a run that has asked for it already; *complete: its checkpoint is there. */
int resume_look(const char *out, const struct sites *s, uint64_t *from, int *complete,
                struct err *e);
/* Did a run in `out` commit sites, but no checkpoint? 1, 0, -1. */
int resume_is_unfinished(const char *out, struct err *e);
/* 1: the run that left its journal there ended before its first site. 0, -1. */
int resume_has_no_site(const char *out, struct err *e);
/* The forward stage keeps its hidden states beside the writer's parts. ERR_USE: no such stages. */
int resume_keep_state(const struct route *t, struct launch *p, struct err *e);
/* Has it kept any in `out`? 1, 0, -1. */
int resume_has_state(const char *out, struct err *e);
/* Warns of sites before `from` that the earlier run in `out` had solved by what none of this run's
 * solvers is: it was swapped while that run went on, and this one does not know. */
int resume_warn_swapped(const struct route *t, const char *out, const struct sites *s,
                        uint64_t from, struct err *e);
/* Tells the processes. */
int resume_give(const struct route *t, struct launch *p, uint64_t from, struct err *e);

#endif
