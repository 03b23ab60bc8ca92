/* SPDX-License-Identifier: Apache-2.0 */
/* forward_state - the hidden states at the end of each block, kept in files, so that a run that
 * goes on runs its tokens through one block again and not through all before.
 *
 * A file for each lane, of which a worker holds all chunks: DIR/LANE.ptq, a message for each chunk
 * (acts of the site "stream" of the block that follows; x in f32, xf of the full-precision
 * stream), published whole and durable, each block in place of the one before. A state is used
 * when it is of the same run, of a block whose sites before it are all committed, and made with
 * those very commits; any other is left aside, and the chunks start from their tokens. Private to
 * the stage. */
#ifndef PTQ_FORWARD_STATE_H
#define PTQ_FORWARD_STATE_H

#include "../../common/base/err.h"
#include "../../common/wire/msg.h"
#include "forward_types.h"

struct forward;

/* Another commit has been passed, in the order of sites. */
void state_pass(struct forward *f, const struct msg *commit);
/* All chunks that came this far stand before block `next`. */
int state_save(struct forward *f, size_t next, struct err *e);
/* After the embedding, in a run that goes on: puts in what is kept and says since when (held.from).
 * Returns the first block that any chunk needs, or -1. */
int state_load(struct forward *f, const struct forward_io *io, struct err *e);
/* Block `index` begins: what goes on there was made with the commits that have come. */
int state_check(const struct forward *f, size_t index, struct err *e);

#endif
