/* SPDX-License-Identifier: Apache-2.0 */
/* block_parts - what block*.c share; nobody else includes this. */
#ifndef PTQ_BLOCK_PARTS_H
#define PTQ_BLOCK_PARTS_H

#include "model_parts.h"
#include "op.h"

/* Block `index` of the tower. */
struct block *block_open_tower(struct model *m, size_t index, struct err *e);

struct block {
    struct model *m;
    size_t index;
    int exact; /* activations are not rounded */
    struct program p;
    float **w; /* [nops] the tensor of each operation; NULL: not loaded, or not there */
    /* [nops] linears of sites, where products are not f32: alone, or what w is rounded to where the
     * model learns */
    struct weights16 *narrow;
    /* [nslots] rows of sites as they were kept, where only products of bf16 read them: these slots
     * are not filled in this walk; NULL: they are */
    const uint16_t **kept;
    /* of the step at work, and until the next one: */
    float *room;              /* the model's scratch */
    size_t *offset;           /* [nslots] of each slot in room */
    struct op_groups *groups; /* [nslots] of the slots that routes wrote */
};

/* Where the rows of a chunk stand; released in any case. An error: the sequences are not the
 * chunk's. */
struct block_places {
    size_t *position, *length; /* [T] */
    size_t *lengths;           /* [nseq] of the sequences, with what is in the cache */
};
int block_places_make(struct block_places *x, const struct rows *r, const struct op_cache *c,
                      struct err *e);
void block_places_release(struct block_places *x);

/* Operations [from, to) over the rows of a chunk (block_run.c). */
struct block_walk {
    struct block *b;
    const struct rows *r;
    float *h;
    size_t from, to;
    const unsigned char *use; /* [nops] which operations run; NULL: all */
    struct block_places places;
    const struct op_cache *cache;
};
/* Checks, and gives every slot its place in the room; block_walk_end in any case. */
int block_walk_begin(struct block_walk *w, struct err *e);
int block_walk_run(struct block_walk *w, struct err *e);
void block_walk_end(struct block_walk *w);
/* Of the slot that a route wrote, which must still stand in the room the first time. */
const struct op_groups *block_walk_groups(struct block_walk *w, int route, struct err *e);

/* Where a slot begins in what block_keep writes at a stop. */
size_t block_kept_before(const struct block *b, int slot, size_t stop, size_t T, enum dtype rows);

/* The tables of a rope operation. lengths: of the sequences. */
const struct rope *block_rope(struct block *b, const struct op *o, const struct rows *r,
                              const size_t *lengths, struct err *e);
/* 0: its optional tensor is not there, it does nothing. */
int block_has(const struct block *b, size_t op);
/* Its weights are there: an error that names them otherwise. */
int block_need(const struct block *b, size_t op, struct err *e);
/* The slot of the route whose groups an operation needs; -1: none. */
int block_route(const struct program *p, const struct op *o);

#endif
