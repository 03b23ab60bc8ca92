/* SPDX-License-Identifier: Apache-2.0 */
/* write - makes solutions durable, in any order of arrival, and a checkpoint of them at the end.
 *
 * Each solution is checked against the model and written as a commit message to OUT/.ptqflow/parts
 * (temporary name, rename). Then it counts, and is handed on as the commit; nobody waits for the
 * disk: its part is made durable after that (fsync, of the folder too), then taken down in the
 * journal (fsync). What a run goes on from is the journal, so a commit that a crash takes back is
 * made again by all who used it, the same bytes. Forward stages without a link read the same parts:
 * the follow protocol is in common/wire/follow.h.
 *
 * What is where: while a run goes on OUT holds only OUT/.ptqflow. At the end, with one format,
 * OUT itself is the checkpoint; with several each has a folder of its name (OUT/gptq,
 * OUT/dense). All files outside .ptqflow depend on the model and the solutions alone: the same
 * bytes in every run of the same job. What varies (seconds, wall time, bytes moved) stands in
 * OUT/.ptqflow/journal.jsonl, which stays; the parts are deleted unless asked for. A folder that
 * an unfinished run left is refused without `overwrite` or `from_site`. The core never prints; the
 * caller broadcasts, logs, and calls write_fail on any error after write_open. */
#ifndef PTQ_WRITE_H
#define PTQ_WRITE_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/wire/msg.h"
#include "write_plan.h"
#include "write_types.h"

struct writer;

/* Reads the model (names, no weights), claims OUT and makes it ready for followers. */
struct writer *write_open(const struct write_opts *o, struct err *e);
/* Who is handed each commit as soon as it counts, before it is durable; takes *m. The site is done
 * in the plan. Without one write_solution leaves it in *m. */
typedef int write_hand_fn(void *ctx, struct msg **m, struct err *e);
void write_hand(struct writer *w, write_hand_fn *hand, void *ctx);
#define WRITE_REFUSED (-2)
/* 1: *m was the solution of its site, whose commit is durable now; 0: the site was there already
 * with the same bytes or from another solver, *m is gone; WRITE_REFUSED: *m is no solution of a
 * site of this model, or differs from the one that its solver gave before; -1: no format can store
 * it, or it could not be written. *m is gone then. */
int write_solution(struct writer *w, struct msg **m, struct err *e);
/* All sites must be there; then the checkpoints appear. Call it only after a proper end of the
 * stream. */
int write_finish(struct writer *w, struct err *e);
/* Sites that from_parts has found no part for; *why: what was wrong with one that is there, or
 * NULL. */
size_t write_left(const struct writer *w, const char **why);
/* Says in OUT why this run ended; for followers. */
void write_fail(struct writer *w, const struct err *why);
void write_close(struct writer **w);

const struct plan *write_plan(const struct writer *w);
/* The commit of a site from its part, for peers of a link that come late; safe beside
 * write_solution of other sites. */
int write_commit(const struct writer *w, size_t order, struct msg **m, struct err *e);

/* Sites by relative loss, worst first. */
struct write_row {
    size_t order, block;
    const char *site, *linear; /* linear: the worst of the site */
    double loss, rel_loss, linear_loss, damp, seconds;
    uint64_t tokens;
};
size_t write_worst(const struct writer *w, struct write_row *rows, size_t max);

/* Known after write_finish. */
const struct write_sizes *write_sizes(const struct writer *w);

#endif
