/* SPDX-License-Identifier: Apache-2.0 */
/* model_parts - what model*.c and block*.c share; nobody else includes this. */
#ifndef PTQ_MODEL_PARTS_H
#define PTQ_MODEL_PARTS_H

#include "../base/par.h"
#include "../format/format.h"
#include "../tensor/safetensors.h"
#include "config.h"
#include "family.h"
#include "products.h"
#include "program.h"
#include "rope.h"
#include "sites.h"
#include "weights16.h"

struct model {
    char *dir;
    struct config c;
    const struct family *f;
    struct st_set *st;
    struct par *par;
    enum products products; /* of the linears of sites */
    int learns;             /* which are there in f32 too */
    struct sites sites;
    struct rope **rope; /* [nropes] the tables that programs ask for, made at first use */
    size_t nropes, rope_cap;
    size_t kept[2];                            /* model_kept with rows of 2 and 4 bytes */
    const struct st_entry *embed, *head_entry; /* head_entry NULL: the head is there in codes */
    float *head, *final_norm;                  /* loaded at first use */
    float *block_embed, *block_embed_norm;
    float *scratch; /* the slots of the block at work */
    size_t scratch_room;
    struct format_reader *reader; /* of its linears */
    uint64_t digest;
};

/* The tensor with this shape and a float type; an error that names it otherwise. */
const struct st_entry *model_need(const struct model *m, const char *name, int ndim,
                                  const uint64_t *shape, struct err *e);
/* The same as f32, all finite. dst has room for count rows (elements of a vector) from first on. */
int model_read(const struct model *m, const struct st_entry *x, uint64_t first, uint64_t count,
               float *dst, struct err *e);
/* Notes in seen [m->st->count] the tensors of the checkpoint that t is read from. */
void model_mark(const struct model *m, const struct op_tensor *t, char *seen);
/* Every weight of the blocks and the head was noted. */
int model_check_unread(const struct model *m, const char *seen, struct err *e);
/* What embeddings are made of beside the table of tokens is there. */
int model_check_embed(const struct model *m, struct err *e);
/* The tower, where there is one: its blocks are there. */
int model_open_tower(struct model *m, struct err *e);
/* A tensor that a program asks for is there with its shape. */
int model_check_tensor(const struct model *m, const struct op_tensor *t, int is_linear,
                       struct err *e);
/* The same as f32, malloc'd; *w NULL for an optional one that is not there. */
int model_load_tensor(const struct model *m, const struct op_tensor *t, float **w, struct err *e);
/* A linear in bf16, with what is left of it or not. */
int model_load_narrow(const struct model *m, const struct op_tensor *t, int rest,
                      struct weights16 *w, struct err *e);
/* The tables for a rope operation on sequences of these lengths. */
const struct rope *model_rope(struct model *m, const struct rope_spec *spec, const size_t *lengths,
                              size_t count, struct err *e);
/* At least n floats, kept between calls. */
float *model_scratch(struct model *m, size_t n, struct err *e);

#endif
