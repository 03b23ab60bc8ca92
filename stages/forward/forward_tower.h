/* SPDX-License-Identifier: Apache-2.0 */
/* forward_tower - the blocks of a quantized tower: the pictures of a chunk from stop to stop, their
 * rows on the way out. They run before the decoder's; all is in memory, and nothing is spilled.
 * Private to the stage. */
#ifndef PTQ_FORWARD_TOWER_H
#define PTQ_FORWARD_TOWER_H

#include "../../common/model/sites.h"
#include "forward_impl.h"

/* Chunk i to the stop of s[0 .. count), whose rows are sent: all of images, each counts as one. A
 * chunk without pictures sends a row of zeros that counts nothing. */
int tower_stop(struct forward *f, size_t i, const struct site *s, size_t count,
               const struct forward_io *io, struct err *e);
/* To the end of the block, the tower's number `block`. */
int tower_finish(struct forward *f, size_t i, size_t block, struct err *e);
/* Behind the last block: the features of all chunks. Without a quantized tower: nothing. */
int tower_join(struct forward *f, struct err *e);

#endif
