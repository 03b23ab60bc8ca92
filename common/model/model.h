/* SPDX-License-Identifier: Apache-2.0 */
/* model - the mathematics of a forward pass, block by block, from stop to stop.
 *
 * A block is a program of operations (program.h); it stops where the rows of sites are ready
 * whose weights must be known before it can go on. Weights are read from the checkpoint when a
 * block needs them and dropped after: resident memory is the linears of the sites at work, the
 * other tensors of a block and scratch. Checkpoints: in any format of common/format that
 * is read, quantized linears as f32. All arithmetic f32 as the
 * reference does it (RMSNorm: mean of squares in f32; softmax f32), products by blas.h. Rows of
 * one chunk are whole sequences one after the other; attention never crosses a sequence;
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
#include "kv_cache.h"
#include "products.h"
#include "rows.h"
#include "sites.h"
#include "weights16.h"

struct model;
struct block;

/* Opens and checks: every tensor that the config demands is there with its shape and a float
 * type (linears as their format has them); nothing is loaded but names. Errors name file and
 * tensor. */
struct model *model_open(const char *dir, struct par *par, struct err *e);
/* The same with the inputs of all sites rounded to act_bits (op_round.c), ACT_BITS_MIN to
 * ACT_BITS_MAX; 0: not; ACT_BITS_SAID: as the checkpoint says, which is what model_open does. */
#define ACT_BITS_SAID (-1)
struct model *model_open_rounded(const char *dir, int act_bits, struct par *par, struct err *e);
/* The same; qkv_bits: q, k and v, each head of a token, are rounded to so many before attention
 * reads them, 0: not; tower: the linears of its tower are sites too (vision.h); products: of the
 * linears of sites (products.h), also where a block runs backwards; learns: block_linear gives
 * their weights in f32 whatever the products. */
struct model_use {
    int act_bits, tower, qkv_bits, learns;
    enum products products;
};
struct model *model_open_for(const char *dir, const struct model_use *u, struct par *par,
                             struct err *e);
void model_close(struct model **m);
/* The same for a config that was read by itself: of the model in dir. */
int model_use_tower(struct config *c, const char *dir, struct err *e);
/* Of a checkpoint that is quantized: its tower is quantized too where the file has codes of it. */
int model_find_tower(struct config *c, const struct st_set *st, struct err *e);
/* A config that says tied beside a file that holds a head with other numbers: the head counts, as
 * with other readers; c->tied becomes 0 and c->own_head 1. model_open() does it. */
int model_settle_head(struct config *c, const struct st_set *st, struct err *e);
#define MODEL_OWN_HEAD                                                                  \
    "'%s': config.json says tie_word_embeddings, but the file holds a head with other " \
    "numbers: the head counts, and an output says tie_word_embeddings: false"
const struct config *model_config(const struct model *m);
const struct sites *model_sites(const struct model *m);
const struct st_set *model_tensors(const struct model *m);
enum products model_products(const struct model *m);
int model_is_quantized(const struct model *m); /* a quantized checkpoint */
/* of config and of names, shapes, types, sizes: for fingerprints */
uint64_t model_digest(const struct model *m);

/* h [T,d] = embeddings of ids [T]; an id outside the vocabulary is an error. Where blocks hand on
 * more than the stream (config_row) it follows in h, [T, carry], here and in all that takes rows
 * between blocks. */
int model_embed(struct model *m, const int32_t *ids, size_t T, float *h, struct err *e);

/* The most bytes for each token that block_keep writes at any stop of any block. */
size_t model_kept(const struct model *m, enum dtype rows);
/* Where the weights of a linear stand, a plain checkpoint only; and they, as the checkpoint has
 * them, into a tensor of that type and shape that has its memory. */
int model_find_linear(const struct model *m, const struct site_linear *l, struct st_entry *x,
                      struct err *e);
int model_load_linear(const struct model *m, const struct st_entry *x, const struct tensor *t,
                      struct err *e);

/* Norms, biases and whatever else is not of a site; the linears of the sites are absent until
 * loaded or set. index: as sites have it, so of the tower too where that is quantized. Sites of a
 * block are counted from 0, in the order of the table. */
struct block *block_open(struct model *m, size_t index, struct err *e);
void block_close(struct block **b);
/* Of a model with rounded activations: this block leaves them as they are. */
void block_set_exact(struct block *b);
/* The linears of a site as the checkpoint has them, in the type that the products want. NaN or
 * infinite weights: an error that names the tensor. */
int block_load_site(struct block *b, size_t site, struct err *e);
int block_load_all(struct block *b, struct err *e); /* of all sites */
/* One of them: linear i of the site. */
int block_load_linear(struct block *b, size_t site, size_t i, struct err *e);
/* Replaces linear i of a site by others [N,K], e.g. dequantized codes of a commit. On an error it
 * is as it was. */
int block_set_linear(struct block *b, size_t site, size_t i, const struct weights_source *from,
                     struct err *e);
/* The weights of one that were loaded or set, [N,K] f32; NULL: they were not, or the products are
 * of another type, and the model was not opened to learn. Borrowed. */
float *block_linear(const struct block *b, size_t site, size_t i);
/* Who writes there has them multiplied from now on. ERR_DATA: what products want cannot hold
 * them. */
int block_written(struct block *b, struct err *e);
void block_drop_all(struct block *b); /* frees the linears of all sites */
/* Those that are not needed any more behind a stop. */
void block_drop_done(struct block *b, size_t stop);

/* ---- from stop to stop ---- */

size_t block_stops(const struct block *b);
/* Runs to stop `stop` from the one before it (to stop 0: from the beginning; to
 * block_stops(b): to the end). h [T,d] is the residual stream, updated in place. kept: what
 * block_keep wrote at the stop before (NULL for stop 0), with rows of the type given: what the
 * linears of a site see are these numbers. The linears of all sites on the way must be there. */
int block_step(struct block *b, size_t stop, const struct rows *r, float *h, enum dtype rows,
               const void *kept, struct err *e);
/* 1: that step changes h. */
int block_step_writes(const struct block *b, size_t stop);
/* What a chunk of T tokens must keep at a stop, beside h, in bytes; and, after block_step has
 * reached it, those bytes: the rows of sites rounded to the type given, the rest f32. */
size_t block_kept(const struct block *b, size_t stop, size_t T, enum dtype rows);
void block_keep(const struct block *b, size_t stop, const struct rows *r, enum dtype rows,
                void *kept);

/* A chunk as it was at a stop, of what block_keep wrote there: block_site_rows tells of it as of
 * the one reached last. */
int block_recall(struct block *b, size_t stop, const struct rows *r, enum dtype rows,
                 const void *kept, struct err *e);

struct block_rows { /* of a site, at the stop that was reached last; borrowed until the next step */
    const float *x; /* [count, K] */
    size_t count;
    const size_t *token; /* [count] which token of the chunk each is; NULL: all of them */
    size_t kept;         /* where they begin in what block_keep writes */
};
int block_site_rows(struct block *b, size_t site, const struct rows *r, enum dtype rows,
                    struct block_rows *out, struct err *e);

/* ---- the rows of an expert, of all tokens (block_expert.c) ---- */

/* Width of the rows that were gathered for the experts of the site; 0: it is of none. */
size_t block_gathered_width(const struct block *b, size_t site);
/* 1: they are among what is kept at this stop. */
int block_gathered_at(const struct block *b, size_t site, size_t stop);
/* out [T, that width]: the row of each token, from what was kept at the stop, which is the one
 * reached last or the one before it. */
int block_gathered(struct block *b, size_t site, size_t stop, const struct rows *r, enum dtype rows,
                   const void *kept, void *out, struct err *e);
/* out [T, K]: the rows of the site that its expert would have of these tokens. The stop of the site
 * was reached last, block_site_rows was called for it, and the x that it gave is gone. */
int block_every_row(struct block *b, size_t site, const struct rows *r, enum dtype rows,
                    const void *gathered, void *out, struct err *e);

/* ---- all at once ---- */

/* The whole block with the linears that are loaded: all of them must be. */
int block_forward(struct block *b, const struct rows *r, float *h, struct err *e);
/* A cache with a layer for each attention of the model: kv_close() it. */
struct kv_cache *model_cache(const struct model *m, size_t slots, size_t room, struct err *e);
/* The same for rows that come behind those in a cache (kv_cache.h): sequence s of r stands in
 * slot slots[s], its rows are the ones after kv_length; their keys and values are added.
 * kv_advance moves on when all blocks have run. */
int block_decode(struct block *b, struct kv_cache *kv, const size_t *slots, const struct rows *r,
                 float *h, struct err *e);
/* received [T]: the attention that each token gets in this block (in the first attention of its
 * program), summed over heads and the queries that see it, with the linears that are loaded. h
 * is the residual stream before the block and stays as it is. block_load_received loads what it
 * needs. */
int block_load_received(struct block *b, struct err *e);
/* Could that be asked of every block of such a model? -1, ERR_USE: of which it could not. */
int block_check_received(const struct config *c, struct err *e);
int block_received(struct block *b, const struct rows *r, const float *h, double *received,
                   struct err *e);

/* Final norm in place (h [T,d]), then logits [T, vocab] of already normed rows. The head matrix
 * is loaded at first use and kept. */
int model_final_norm(struct model *m, size_t T, float *h, struct err *e);
int model_logits(struct model *m, size_t T, const float *h, float *logits, struct err *e);

#endif
