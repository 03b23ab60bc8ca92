/* SPDX-License-Identifier: Apache-2.0 */
/* forward_begin - the hidden states of chunks before the first block, and room for them. */
#ifndef PTQ_FORWARD_BEGIN_H
#define PTQ_FORWARD_BEGIN_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "forward_types.h"
#include "store.h"

struct forward;
struct way;

/* Bytes of a token's states: what lies in a store's two areas. */
struct forward_row {
    uint64_t h, x;
};

/* Bytes that may stay in memory: of both areas, and of x among them. */
struct forward_mem {
    uint64_t all, rows;
};

/* What is left of o->mem beside the features of images. */
struct forward_mem forward_mem_of(const struct forward_opts *o, uint64_t features);

/* What one of `ways` streams may keep in memory of the states of so many tokens: an equal share of
 * mem. When they do not all fit, x goes to the file first, which is written and read once a stop;
 * room stays free for a chunk from the file that is worked on, `largest` tokens. */
struct store_room forward_budget(struct forward_mem mem, uint64_t ways, struct forward_row row,
                                 uint64_t tokens, uint64_t largest);

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
