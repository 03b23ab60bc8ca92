/* SPDX-License-Identifier: Apache-2.0 */
/* forward_emit - the rows of one site of one chunk, as a message. Private to the stage.
 *
 * The rows of an expert are those of the tokens that its router sends there; with --experts all,
 * or where they are so few that it may be starved, those of all tokens, and which were sent. What
 * a chunk of the run may not know: whether the expert is starved. It is not when a chunk has as
 * many rows as it needs; so only chunks with fewer send all, and of a starved one all chunks. */
#ifndef PTQ_FORWARD_EMIT_H
#define PTQ_FORWARD_EMIT_H

#include "forward_impl.h"

/* Room for the rows of the largest chunk. */
int emit_room(struct forward *f, struct err *e);
/* At the stop of s[0 .. count), which the first way has reached: the rows that experts there come
 * from are taken out of what was kept at the stop before, or is kept at this one. */
int emit_gather_before(struct forward *f, size_t i, const struct site *s, size_t count,
                       const void *kept, struct err *e);
int emit_gather(struct forward *f, size_t i, const struct site *s, size_t count, const void *kept,
                struct err *e);
/* kept: what each way keeps of chunk i at the stop of the site. */
int emit_site(struct forward *f, size_t i, const struct site *s, char *const kept[2],
              const struct forward_io *io, struct err *e);

/* The weights of the sites of the stop at work, by who has the first chunk; of those from `from`
 * on. */
int emit_weights(struct forward *f, uint64_t from, const struct forward_io *io, struct err *e);
/* Its weights and rows once more, from what is kept of them, of those sites. */
int emit_again(struct forward *f, uint64_t from, const struct forward_io *io, struct err *e);
/* The rows of chunk i alone. */
int emit_chunk_again(struct forward *f, size_t i, uint64_t from, const struct forward_io *io,
                     struct err *e);
/* 1: that can be done at the stop at work. Not where rows of all tokens are sent for an expert:
 * they come of the chunk at work alone. */
int emit_can_again(const struct forward *f);

#endif
