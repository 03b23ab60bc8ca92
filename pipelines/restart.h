/* SPDX-License-Identifier: Apache-2.0 */
/* restart - a run that has lost a process which can be replaced neither by its stage (crew.h) nor
 * alone (replace.h) begins again behind the last site that it has committed, by itself: what
 * `ptq run` does when it is called again (resume.h), with the processes that were at work, swapped
 * and scaled as they were. The bytes are those of a run that lost nobody.
 *
 * A process is lost when a signal ended it or it exited 111. One that exited 1 or 100 says that
 * the data or the use is wrong, and would say so again; so would one whose disk is full. */
#ifndef PTQ_RESTART_H
#define PTQ_RESTART_H

#include "supervise_state.h"

enum restart_end {
    RESTART_NOT,     /* the run has failed; *why also says what kept it from beginning again */
    RESTART_BEGUN,   /* its processes are started and added to the plan */
    RESTART_COMPLETE /* the checkpoint is there */
};

/* All processes of the run have ended, `lost` is the cause (NULL: a worker of another host), *why
 * says how; what ended before
 * `failed_at` (clock_wall) had left the run before. */
enum restart_end restart_begin(struct supervise *s, const struct child *lost, double failed_at,
                               struct err *why);

/* ---- for who replaces a single process (replace.h) ---- */

/* Did a signal or the system end it, and would the system not refuse the same again? */
int restart_helps(const struct child *c);
/* The text of it that is a pipe, which is read once; NULL: none is. */
const char *restart_reads_once(const struct route *t);
/* 0 unless one is, or `more` (NULL: nothing) is one; refused in the name of `who`, which has
 * several runs read them. */
int restart_refuse_once(const struct route *t, const char *more, const char *who, struct err *e);
/* Has it one writer, whose journal says where to go on? */
int restart_has_writer(const struct supervise *s);
/* 1: it may begin again as a whole although nothing is lost: that cannot make it fail. */
int restart_may(struct supervise *s);
/* 1: the run may go on once more behind *from sites, those that are committed up to a stop; 0: it
 * may not: it has no journal, is complete, or was tried too often. */
int restart_from(struct supervise *s, uint64_t *from);

#endif
