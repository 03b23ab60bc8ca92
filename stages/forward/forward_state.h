/* SPDX-License-Identifier: Apache-2.0 */
/* forward_state - hidden states kept in files, so that a run that goes on does not run its tokens
 * through what they have passed.
 *
 * Two files for each lane of which a worker holds all chunks (forward_state_msg.h says what is in
 * them). DIR/LANE.ptq: the chunks before a block, published whole and durable, each block in place
 * of the one before. DIR/LANE.stop: each chunk at a stop inside a block, written as soon as its
 * rows are sent, while a cache has it: a place for its stream, which is left alone at a stop that
 * finds it as it was, and one for the rest. These are written over what the stop before left
 * there, in place and not synced, because new pages cost several times as much as those that are
 * there. A process that is lost while it writes, or a power cut, leaves a torn message: its
 * checksum tells, and the chunk goes on from before the block. Not kept: the first stop of a
 * block, which is as near to the block's start, and stops at which rows of all tokens are sent
 * for an expert (they come of what is kept at no stop); there the stop before is used.
 *
 * A state is used when it is of the same run, of a place whose sites before it are all committed,
 * and made with those very commits; of two the farther one. Any other is left aside; a chunk that
 * has none starts from its tokens. Private to the stage. */
#ifndef PTQ_FORWARD_STATE_H
#define PTQ_FORWARD_STATE_H

#include "../../common/base/err.h"
#include "../../common/model/sites.h"
#include "../../common/wire/msg.h"
#include "forward_types.h"

struct forward;

/* Another commit has been passed, in the order of sites. */
void state_pass(struct forward *f, const struct msg *commit);
/* All chunks that came this far stand before block `next`. */
int state_save(struct forward *f, size_t next, struct err *e);
/* Chunk i has come to the stop of s, the stop at work; h, kept: what each way has of it there. */
int state_keep(struct forward *f, size_t i, const struct site *s, void *const h[2],
               char *const kept[2], struct err *e);
/* After the embedding: makes the folder, and in a run that goes on puts in what is kept and says
 * since when (held.from, held.stop). Returns the first block that any chunk needs, or -1. */
int state_load(struct forward *f, const struct forward_io *io, struct err *e);
/* Block `index` begins (stop 0), or its stop: what goes on there was made with the commits that
 * have come. */
int state_check(const struct forward *f, size_t index, size_t stop, struct err *e);

#endif
