/* SPDX-License-Identifier: Apache-2.0 */
/* sites - the table of a model's sites: the groups of linears that share one input, in the order
 * of the run. It follows from the programs of the blocks (program.h); blocks may differ in the
 * number of their sites, their names and their shapes. Where a tower is quantized (vision.h) its
 * blocks come first in the run, but have the numbers behind those of the decoder, which keep
 * theirs; the names of its sites begin with "vision.". */
#ifndef PTQ_SITES_H
#define PTQ_SITES_H

#include <stddef.h>
#include <stdint.h>
#include "../tensor/safetensors.h"
#include "config.h"

struct site_linear {
    char *name;  /* "model.layers.3.self_attn.q_proj" (no .weight); owned by the table */
    size_t rows; /* N */
    int has_bias;
    /* Where the checkpoint has no NAME.weight: the tensor it is cut from, rows [first, first + N)
     * of matrix `which` of several that are stacked, each of `total` rows. NULL: it stands
     * alone. turned: that matrix is [K, N]. */
    char *whole;
    uint64_t first, which, total;
    int turned;
    char *bias; /* the same of NAME.bias: vectors [total], stacked; NULL: it stands alone */
};

struct site {
    size_t order, block;
    size_t stop; /* of its block: sites of one stop are ready together */
    char name[32];
    /* last word of the module that engines fuse its linears into ("qkv_proj"); NULL: they stay
     * apart */
    const char *fused;
    size_t inputs; /* K */
    int expert;    /* -1: its rows are all tokens */
    double share;  /* of the tokens, on average: 1, or what an expert gets */
    size_t count;
    struct site_linear *linear; /* [count] */
};

struct sites {
    size_t count, linears; /* of all sites; linears: of all of them together */
    struct site *site;     /* [count] */
    size_t blocks, tower;  /* tower: how many of them are of the tower, the last numbers */
    size_t *first, *end;   /* [blocks]: block b has sites [first[b], end[b]) */
};

/* *s is to be released also after an error. */
int sites_make(struct sites *s, const struct config *c, struct err *e);
void sites_release(struct sites *s);
/* Is a site of this name of a tower? Its rows are all of images. */
int site_is_of_tower(const char *name);
/* The block that is number k of the run. */
size_t sites_block(const struct sites *s, size_t k);
/* NULL: the block has none of this name, or there is no such block. */
const struct site *sites_find(const struct sites *s, size_t block, const char *name);

/* As struct format_linear has it: of an expert, 1 and the number of its block. */
size_t site_experts(const struct site *s);
/* *x: the weight of a linear in a checkpoint, as NAME.weight, cut out where it stands among
 * others; 1, 0 when it is not there, -1. */
int sites_source(const struct st_set *set, const struct site_linear *l, struct st_entry *x,
                 struct err *e);
/* The same of NAME.bias where it is cut from others; 0 where it is not. */
int sites_bias(const struct st_set *set, const struct site_linear *l, struct st_entry *x,
               struct err *e);

#endif
