/* SPDX-License-Identifier: Apache-2.0 */
/* follow - commits by way of the writer's output folder, for stages without a link to the
 * writer.
 *
 * The follow protocol. ptq-write makes, at its start, with parents:
 *   OUT/.ptqflow/parts/    one file per committed site, "%05llu.ptq" by its order in the run: a
 *                          framed commit message (frame.h), whole from the moment its name is there
 *   OUT/.ptqflow/lock      an flock is held on it while the writer lives; its text says which
 *                          process that is, since when (owner.h). The name appears with the
 *                          lock already taken, after what an earlier run left has been cleared
 *                          away: while the lock is held, what is in parts/ belongs to this run
 *   OUT/.ptqflow/failed    the writer ended with an error; the reason is in the file
 *   OUT/.ptqflow/done      the checkpoint is published; made before the parts are deleted
 * A follower may start before the writer, and before OUT is there. It trusts parts only while
 * the lock is held, so that leftovers of an earlier run are never taken for this one's. */
#ifndef PTQ_FOLLOW_H
#define PTQ_FOLLOW_H

#include <stdint.h>
#include "../base/err.h"
#include "msg.h"

#define FOLLOW_DIR ".ptqflow"
#define FOLLOW_PARTS ".ptqflow/parts"
#define FOLLOW_STATE ".ptqflow/state" /* hidden states, where they are kept (ptq-forward --state) */
#define FOLLOW_LOCK ".ptqflow/lock"
#define FOLLOW_FAILED ".ptqflow/failed"
#define FOLLOW_DONE ".ptqflow/done"
#define FOLLOW_START_S 60 /* no writer this long after the first follow_next: an error */

/* "00012.ptq" */
void follow_part_name(uint64_t order, char out[32]);

struct follow;

struct follow *follow_open(const char *out_dir, struct err *e); /* OUT need not be there yet */
/* The commit of site `order`. 1: *m is the caller's; 2: not there within timeout_ms (-1: wait
 * for ever; 2 comes early when sig_draining()); 0: the writer has published its checkpoint and
 * the part is gone; -1: the writer failed (its reason), is gone, never came, or the part is not
 * a commit of that site. */
int follow_next(struct follow *f, uint64_t order, struct msg **m, int timeout_ms, struct err *e);
void follow_close(struct follow **f);

#endif
