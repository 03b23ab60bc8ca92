/* SPDX-License-Identifier: Apache-2.0 */
/* block_back - a block run backwards: the forward keeps what the products of its operations
 * (op.h) read, then they are taken in reverse, from the gradient of what the block hands on to
 * that of what it got.
 *
 * Gradients are of one number L that sums over the rows of the chunk: rows of other sequences do
 * not meet. Results depend on the rows, the weights and the CPU's kernels alone, not on threads.
 * Memory: the slots of the block that are read again, and gradients of those at work. */
#ifndef PTQ_BLOCK_BACK_H
#define PTQ_BLOCK_BACK_H

#include "model.h"

struct block_back;

/* Whether every operation of the block has a product: an error that names one without. */
int block_back_check(const struct block *b, struct err *e);

/* Runs the block, or its operations before `to` (block_back_sublayer; SIZE_MAX: all of it), over
 * h [T,d], which stays as it is; y [T,d]: the stream behind them, NULL: not asked for. The linears
 * must be there, b and r must stay as they are until block_back_close(). */
struct block_back *block_back_forward(struct block *b, size_t to, const struct rows *r,
                                      const float *h, float *y, struct err *e);
void block_back_close(struct block_back **k);

/* The gradient of the output of a linear, biases included. */
struct block_back_rows {
    const char *name; /* without ".weight" */
    int site;         /* of the block; -1: it is of none */
    const float *g;   /* [count, N] */
    size_t count, N;
    const size_t *token; /* [count] of an expert's rows; NULL: row t is token t */
};

/* Bytes that a block takes beside its weights, at most, for a chunk of T tokens and gradients of
 * inputs alone: known from the config. */
int block_back_room(const struct config *c, size_t block, size_t T, double *bytes, struct err *e);

struct block_back_ask {
    /* Called for each linear that a gradient reaches, the last one first; NULL: nobody asks. */
    int (*linear)(void *ctx, const struct block_back_rows *x, struct err *e);
    void *ctx;
    int tensors; /* 1: gradients of the parameters too (block_back_tensor) */
};
/* g [T,d]: the gradient of y becomes that of h. Once only. */
int block_back_reverse(struct block_back *k, float *g, const struct block_back_ask *ask,
                       struct err *e);
/* The gradient of a parameter by the name of its tensor, as large as that: NULL where none
 * reached it. Borrowed. */
const float *block_back_tensor(const struct block_back *k, const char *name);

/* The operation behind the first attention of the block and what joins the stream from it: an
 * error where there is none. */
int block_back_sublayer(const struct block *b, size_t *to, struct err *e);
/* The attention of the block alone (VLMQ, arXiv 2508.03351): *loss = ||A(f) - A(u)||^2 over all
 * rows, A(x) the stream behind that sublayer; ask gets the gradients of its outputs for u, as of
 * block_back_reverse. f, u [T,d]. */
int block_back_local(struct block *b, const struct rows *r, const float *f, const float *u,
                     double *loss, const struct block_back_ask *ask, struct err *e);

#endif
