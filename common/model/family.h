/* SPDX-License-Identifier: Apache-2.0 */
/* family - what distinguishes one architecture from another: one descriptor per family, one list
 * (family_list.c). A new family is one file family_NAME.c that ends in a const struct family, and
 * one line in the list. It says what its blocks do as programs (program.h); the rest of the tree
 * knows those and the tensors at both ends. */
#ifndef PTQ_FAMILY_H
#define PTQ_FAMILY_H

#include "config.h"
#include "program.h"

struct family {
    const char *model_type;                /* config.json "model_type" */
    const char *architecture;              /* the member of "architectures" it serves */
    const char *embed, *head, *final_norm; /* tensors, without ".weight" */
    const char *blocks;                    /* "model.layers": block 3 is "model.layers.3" */
    /* Reads the fields only this family has into c; c->json is parsed and the common fields are
     * set. */
    int (*settle)(struct config *c, const char *what, struct err *e);
    /* What block `block` does, into a program that is begun; mistakes stay in the program. */
    void (*build)(const struct config *c, size_t block, struct program *p);
};

const struct family *family_find(const char *model_type); /* NULL: unknown */
const struct family *family_of(const struct config *c);   /* of a parsed config: never NULL */
const struct family *family_at(size_t i);                 /* NULL past the end */

/* The program of a block; *p is to be released also after an error. */
int family_program(const struct config *c, size_t block, struct program *p, struct err *e);

/* ---- what many families share ---- */

#define FAMILY_LLAMA_ENDS                                                         \
    .embed = "model.embed_tokens", .head = "lm_head", .final_norm = "model.norm", \
    .blocks = "model.layers"

/* q, k, v and o with their usual names, of the normed rows x, into the stream. heads: the heads
 * of q and k are normed. */
void family_attention(const struct config *c, struct program *p, int x, size_t window, int heads);
/* gate, up and down with their usual names. */
void family_mlp(const struct config *c, struct program *p, int x);

#endif
