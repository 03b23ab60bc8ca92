/* SPDX-License-Identifier: Apache-2.0 */
/* forward - runs the chunks that a worker holds through the model, block by block from stop to
 * stop, and emits the inputs of every site.
 *
 * The core, without sockets. Order "site" (DESIGN 1): the rows of the sites of a stop go out,
 * then their commits are awaited, then the quantized weights of those commits compute the rows of
 * the next; each token passes each block once. Which sites stand at a stop (one of them in a
 * dense block, all experts of a layer together) and what a chunk must keep there the model knows.
 * Order "full" needs no commits: every input is that of the unquantized model, so a stream can be
 * recorded without solvers. With dual a second set of hidden states goes through the unquantized
 * weights; its rows travel beside as xf, for solvers that aim at the full-precision target. That
 * doubles the arithmetic and the hidden states. Rows are rounded to the type they travel in (bf16
 * or f32) and it is these rounded rows that the next product uses: what the solver saw is what
 * the model gets. With attention_weights each row also carries a weight from the attention that
 * its token receives in the block (forward_weights.h), with by_modality one from whether it is
 * text or image; both together are brought to mean 1 in each sequence and multiplied by the
 * weights that came with the chunk. The worker that holds chunk 0 also emits the weights of each
 * site, as the checkpoint has them. */
#ifndef PTQ_FORWARD_H
#define PTQ_FORWARD_H

#include "../../common/base/err.h"
#include "../../common/base/par.h"
#include "../../common/model/model.h"
#include "../../common/model/weigh.h"
#include "../../common/tensor/dtype.h"
#include "../../common/wire/modality.h"
#include "../../common/wire/msg.h"

enum forward_order { FORWARD_SITE, FORWARD_FULL };

struct forward_opts {
    enum dtype acts; /* DT_BF16 or DT_F32 */
    enum forward_order order;
    int dual;              /* run the full-precision model beside and emit its rows too ("xf") */
    int attention_weights; /* weigh tokens by the attention they receive */
    /* the least weight of a token beside the largest, before they are scaled to mean 1 */
    double weight_min;
    /* weigh tokens by their modality: each chunk must say what its tokens are */
    int by_modality;
    double modality[MODALITIES];
    struct weigh_clip clip; /* of the weights from attention and modality */
    /* bytes for hidden states, both streams and the chunk in work together; the rest is spilled */
    uint64_t mem;
    const char *tmp; /* folder of the spill file */
};

struct forward_io {
    void *ctx;
    /* Sends a message; takes it over (*m NULL) when it succeeds. */
    int (*emit)(void *ctx, struct msg **m, struct err *e);
    /* Waits for the commit of site number order; *m is the core's. Sites of one stop are committed
     * in any order, but asked for in theirs. Not called in order FULL. */
    int (*commit)(void *ctx, uint64_t order, struct msg **m, struct err *e);
    /* What is being done: for progress. May be NULL. */
    void (*progress)(void *ctx, size_t block, const char *site, size_t done, size_t chunks);
};

struct forward;

/* m: borrowed */
struct forward *forward_open(struct model *m, const struct forward_opts *o, struct err *e);
/* Takes a chunk (before forward_run). Checked against the model's vocabulary and context. */
int forward_add(struct forward *f, const struct msg *chunk, struct err *e);
size_t forward_chunks(const struct forward *f);
uint64_t forward_tokens(const struct forward *f);
/* Sequences, counted in each block, whose tokens all received the same attention: their weights
 * stayed as given. */
uint64_t forward_uniform(const struct forward *f);
/* Sequences, in each block, whose weights from attention and modality were all 0: their tokens
 * count alike. */
uint64_t forward_zero(const struct forward *f);
/* 1: weighed by modality, but all tokens are of one. */
int forward_one_modality(const struct forward *f);
int forward_run(struct forward *f, const struct forward_io *io, struct err *e);
void forward_close(struct forward **f);

/* What one of `ways` streams may keep in memory of states of `row` bytes a token: an equal share
 * of mem; when its tokens do not all fit, less the room that a chunk from the file is worked on
 * in, `largest` tokens. */
uint64_t forward_budget(uint64_t mem, size_t ways, uint64_t row, uint64_t tokens, uint64_t largest);

#endif
