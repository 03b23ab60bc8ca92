/* SPDX-License-Identifier: Apache-2.0 */
/* importance - what each token of a chunk is worth at each site, from gradients of a loss; the
 * chunk gets it as the tensor site_weights, which forward multiplies into its rows.
 *
 * The core, without sockets. A sample is a sequence of a chunk. tlq and mbq: the model's
 * cross-entropy on the tokens that are predicted, one backward pass (model_back.h). vlmq: in each
 * block ||A(F) - A(U)||^2 of its attention, F the stream of the full-precision model and U that of
 * a model whose weights were rounded to the nearest; at attention sites only. Chunks are
 * independent of each other, except with mbq and keep, which go by all chunks of the run:
 * they are refused where a process does not have them all. */
#ifndef PTQ_IMPORTANCE_H
#define PTQ_IMPORTANCE_H

#include "../../common/model/model.h"
#include "importance_types.h"

struct importance;

struct importance_io {
    void *ctx;
    int (*emit)(void *ctx, uint64_t lane, struct msg **m, struct err *e);
    void (*progress)(void *ctx, size_t done, size_t all); /* of the chunks at work */
};

/* m, par: borrowed. An error: the model has an operation without a backward pass, or more sites
 * than a chunk has room for. */
struct importance *importance_open(struct model *m, struct par *par,
                                   const struct importance_opts *o, struct err *e);
void importance_close(struct importance **f);
/* Takes a chunk: *chunk is NULL then. ERR_USE: it is not of this model, or has weights of sites
 * already. */
int importance_add(struct importance *f, struct msg **chunk, struct err *e);
/* The lanes of the chunks that came, as "0,3-5"; -1: they do not fit. */
int importance_lanes(const struct importance *f, char *out, size_t size);
/* 1: those that wait fill the memory allowed. */
int importance_full(const struct importance *f);
/* Measures those that wait, and emits what is complete. ERR_SYS: a signal asked to stop. */
int importance_work(struct importance *f, const struct importance_io *io, struct err *e);
/* No more chunks will come: what is left is emitted, and the raw values go to their file. */
int importance_end(struct importance *f, const struct importance_io *io, struct err *e);

struct importance_tally {
    size_t chunks, sequences, silent; /* silent: nothing was predicted */
    uint64_t tokens;
    uint64_t uniform; /* sequences, at each site, whose tokens had nothing to tell them apart */
    double loss;      /* mean over the sequences that are not silent; NaN: there is none */
};
void importance_tally(const struct importance *f, struct importance_tally *t);

#endif
