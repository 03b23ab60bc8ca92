/* SPDX-License-Identifier: Apache-2.0 */
/* forward - runs the chunks that a worker holds through the model, block by block from stop to
 * stop, and emits the inputs of every site.
 *
 * The core, without sockets. Order "site": the rows of the sites of a stop go out,
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
#include "../../common/model/model.h"
#include "../../common/wire/msg.h"
#include "../../common/wire/msg_solution.h"
#include "forward_first.h"
#include "forward_types.h"

struct forward;

/* m: borrowed */
struct forward *forward_open(struct model *m, const struct forward_opts *o, struct err *e);
/* Takes a chunk (before forward_run, or when it asks for more): *chunk is NULL then; one that came
 * before is left as it is. Checked against the model's vocabulary and context. */
int forward_add(struct forward *f, struct msg **chunk, struct err *e);
/* A commit that came, with this checksum: is it one of a site of the model, with every linear in
 * its shape, on a grid that is known? 0; 1: it came before; -1: it does not fit, or came before
 * with other contents. */
int forward_check_commit(struct forward *f, const struct solution_view *v, uint64_t sum,
                         struct err *e);
size_t forward_chunks(const struct forward *f);
uint64_t forward_tokens(const struct forward *f);
/* The lanes of the chunks here, as "0,3-5"; -1: they do not fit. */
int forward_lanes(const struct forward *f, char *out, size_t size);
/* Sequences, counted in each block, whose tokens all received the same attention: their weights
 * stayed as given. */
uint64_t forward_uniform(const struct forward *f);
/* Sequences, in each block, whose weights from attention and modality were all 0: their tokens
 * count alike. */
uint64_t forward_zero(const struct forward *f);
/* What the first tokens hold, where they hold most, of chunk 0 if it is here. */
const struct first_found *forward_first(const struct forward *f);
/* 1: weighed by modality, but all tokens are of one. */
int forward_one_modality(const struct forward *f);
int forward_run(struct forward *f, const struct forward_io *io, struct err *e);
void forward_close(struct forward **f);

#endif
