/* SPDX-License-Identifier: Apache-2.0 */
/* model - the mathematics of a forward pass, one site at a time.
 *
 * Weights are read from the checkpoint when a block needs them and dropped after: resident
 * memory is one site's linears, the norms and scratch. Checkpoints: plain (F32/F16/BF16) and
 * GPTQ v1 (dequantized on load: f16 scale times (code - zero), exact in f32). All arithmetic f32
 * as the reference does it (RMSNorm: mean of squares in f32; softmax f32), products by blas.h.
 * Rows of one chunk are whole sequences one after the other; attention never crosses a sequence;
 * positions start at 0 in each. Results of a chunk do not depend on threads or on other chunks.
 * One thread at a time calls into a model and its blocks (scratch is shared); the work inside
 * runs on the par given to model_open. Shapes: T tokens of the chunk, d hidden, K inputs of a
 * site, N rows of a linear. */
#ifndef PTQ_MODEL_H
#define PTQ_MODEL_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../base/par.h"
#include "../tensor/safetensors.h"
#include "config.h"
#include "site.h"

struct model;
struct block;

struct rows { /* the sequences of a chunk */
    size_t T;
    size_t nseq;
    const int32_t *lengths; /* [nseq], sum = T */
};

/* Opens and checks: every tensor that the config demands is there with its shape and a float
 * type (or as GPTQ tensors); nothing is loaded but names. Errors name file and tensor. */
struct model *model_open(const char *dir, struct par *par, struct err *e);
void model_close(struct model **m);
const struct config *model_config(const struct model *m);
const struct st_set *model_tensors(const struct model *m);
int model_is_quantized(const struct model *m); /* a GPTQ checkpoint */
/* of config and of names, shapes, types, sizes: for fingerprints */
uint64_t model_digest(const struct model *m);

/* h [T,d] = embeddings of ids [T]; an id outside the vocabulary is an error. */
int model_embed(struct model *m, const int32_t *ids, size_t T, float *h, struct err *e);

/* Norms and q/k norms and biases of one block; its linears are absent until loaded or set. */
struct block *block_open(struct model *m, size_t index, struct err *e);
void block_close(struct block **b);
/* The linears of a site as the checkpoint has them (f32). NaN or infinite weights: an error that
 * names the tensor. */
int block_load_site(struct block *b, enum site s, struct err *e);
/* One of them: linear i of the site. */
int block_load_linear(struct block *b, enum site s, size_t i, struct err *e);
/* Replaces linear i of a site by w [N,K] f32 (taken over, also on an error: freed by the block),
 * e.g. dequantized codes of a commit. */
int block_set_linear(struct block *b, enum site s, size_t i, float *w, struct err *e);
void block_drop_site(struct block *b, enum site s); /* frees its linears */

/* Input x [T, K(s)] of site s. h [T,d] is the residual stream, updated in place; prev is the
 * input of the site before it in the block (NULL for SITE_QKV), which must hold the very numbers
 * that the site's linears are to see:
 *   QKV   x = norm1(h)                                  needs nothing
 *   O     x = attention(prev; q k v)                     needs the linears of QKV
 *   UP    h += prev Wo' ; x = norm2(h)                   needs O
 *   DOWN  x = act(prev Wgate') * (prev Wup')             needs UP
 * block_finish: h += prev Wdown', prev = the input of DOWN. */
int block_input(struct block *b, enum site s, const struct rows *r, float *h, const float *prev,
                float *x, struct err *e);
int block_finish(struct block *b, const struct rows *r, float *h, const float *prev, struct err *e);
/* Whole block with the checkpoint's own linears (all four sites must be loaded). scratch-free
 * convenience for evaluation. */
int block_forward(struct block *b, const struct rows *r, float *h, struct err *e);
/* The same for rows that come behind those in a cache (kv_cache.h): sequence s of r stands in
 * slot slots[s], its rows are the ones after kv_length; their keys and values are added.
 * kv_advance moves on when all blocks have run. */
struct kv_cache;
int block_decode(struct block *b, struct kv_cache *kv, const size_t *slots, const struct rows *r,
                 float *h, struct err *e);
/* received [T]: the attention that each token gets in this block, summed over heads and the
 * queries that see it, from norm1(h) and the linears of QKV that are loaded. h is the residual
 * stream before the block and stays as it is. */
int block_received(struct block *b, const struct rows *r, const float *h, double *received,
                   struct err *e);

/* Final norm in place (h [T,d]), then logits [T, vocab] of already normed rows. The head matrix
 * is loaded at first use and kept. */
int model_final_norm(struct model *m, size_t T, float *h, struct err *e);
int model_logits(struct model *m, size_t T, const float *h, float *logits, struct err *e);

#endif
