/* SPDX-License-Identifier: Apache-2.0 */
/* family - what distinguishes one architecture from another: one descriptor per family, one list
 * (family.c). A new family is one file family_NAME.c that ends in a const struct family, and one
 * line in the list. */
#ifndef PTQ_FAMILY_H
#define PTQ_FAMILY_H

#include "config.h"
#include "site.h"

struct family {
    const char *model_type;                      /* config.json "model_type" */
    const char *architecture;                    /* the member of "architectures" it serves */
    const char *embed, *head, *final_norm;       /* tensors, without ".weight" */
    const char *blocks;                          /* "model.layers": block 3 is "model.layers.3" */
    const char *norm1, *norm2, *q_norm, *k_norm; /* below a block; q_norm NULL: no norm of heads */
    const char *linear[SITE_COUNT][SITE_LINEARS];
    /* Reads the fields only this family has into c; c->json is parsed and the common fields are
     * set. */
    int (*settle)(struct config *c, const char *what, struct err *e);
};

const struct family *family_find(const char *model_type); /* NULL: unknown */
const struct family *family_of(const struct config *c);   /* of a parsed config: never NULL */
const struct family *family_at(size_t i);                 /* NULL past the end */

/* "model.layers.3.self_attn.q_proj" + suffix (".weight", ".bias", "") into a buffer of
 * TENSOR_NAME bytes. */
void family_block_name(const struct family *f, size_t block, const char *part, const char *suffix,
                       char *out);

/* The linears that all members of the Llama line share. */
#define FAMILY_LLAMA_NAMES                                                                     \
    .embed = "model.embed_tokens", .head = "lm_head", .final_norm = "model.norm",              \
    .blocks = "model.layers", .norm1 = "input_layernorm", .norm2 = "post_attention_layernorm", \
    .linear = {[SITE_QKV] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"},      \
               [SITE_O] = {"self_attn.o_proj"},                                                \
               [SITE_UP] = {"mlp.gate_proj", "mlp.up_proj"},                                   \
               [SITE_DOWN] = {"mlp.down_proj"}}

#endif
