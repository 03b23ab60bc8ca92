/* SPDX-License-Identifier: Apache-2.0 */
/* forward_begin - the hidden states of chunks before the first block, and room for them. */
#ifndef PTQ_FORWARD_BEGIN_H
#define PTQ_FORWARD_BEGIN_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"

struct forward;
struct way;

/* What one of `ways` streams may keep in memory of states of `row` bytes a token: an equal share
 * of mem; when its tokens do not all fit, less the room that a chunk from the file is worked on
 * in, `largest` tokens. */
uint64_t forward_budget(uint64_t mem, size_t ways, uint64_t row, uint64_t tokens, uint64_t largest);

/* 1: forward_run can begin with the chunks that are here and take the others as they come: nothing
 * that it does at first depends on all of them, and they fit in memory. */
int forward_may_begin(const struct forward *f);
/* ---- private to the stage ---- */

int begin_stores(struct forward *f, struct err *e);
/* Chunk i gets its place in them, and its embeddings there. */
int begin_chunk(struct forward *f, size_t i, struct err *e);
/* All that have come; who comes after them is begun by itself. */
int begin_all(struct forward *f, struct err *e);
/* Hidden states of a chunk that has its place, from its tokens. */
int begin_embed(struct forward *f, struct way *w, size_t i, struct err *e);

#endif
