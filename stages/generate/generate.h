/* SPDX-License-Identifier: Apache-2.0 */
/* generate - a model continues prompts: many sequences at a time, each token through the model
 * once (common/model/kv_cache.h).
 *
 * A slot is a sequence at work. Each step takes the rows of all slots through the blocks
 * together, so that the weights of a block serve all of them: one row of a sequence under way,
 * up to STEP_ROWS in all of new prompts. A slot whose sequence is done takes the next one. The
 * weights of as many blocks as the memory allows stay there as f32; those of the others are read
 * again in each step. A sequence draws from a random stream of its own (seed, its number). The
 * numbers of a step depend on all rows in it (products of another shape round otherwise), so
 * output depends on prompts, options, seed and slots, never on threads or memory. */
#ifndef PTQ_GENERATE_H
#define PTQ_GENERATE_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/base/par.h"
#include "../../common/model/model.h"
#include "pick.h"

struct prompt {
    int32_t *ids;
    size_t count; /* >= 1 */
};

struct generate_opts {
    size_t count;  /* sequences; sequence i continues prompt i mod prompts */
    size_t tokens; /* new tokens of each, at most; fewer where the model's context ends */
    size_t slots;
    uint64_t seed, mem; /* mem: bytes for weights of blocks */
    struct pick_opts pick;
    size_t vocab;         /* only ids below it are drawn (0: all), where a vocabulary is padded */
    const int32_t *stops; /* a sequence ends behind such a token */
    size_t nstops;
};

struct generate_io {
    void *ctx;
    /* Sequence i is done: prompt, then new tokens, in the order of i. */
    int (*take)(void *ctx, size_t i, const int32_t *ids, size_t prompt, size_t count,
                struct err *e);
    /* New tokens and sequences so far; returns 1 to stop. May be NULL. */
    int (*progress)(void *ctx, size_t tokens, size_t done);
};

struct generate_stats {
    size_t tokens, stopped, cut; /* new tokens; sequences ended by a stop token; by the context */
    size_t held, blocks;         /* blocks whose weights stayed in memory, of how many */
};

/* 0; 1 when progress stopped it; -1. */
int generate_run(struct model *m, struct par *par, const struct prompt *prompts, size_t nprompts,
                 const struct generate_opts *o, const struct generate_io *io,
                 struct generate_stats *stats, struct err *e);

#endif
