/* SPDX-License-Identifier: Apache-2.0 */
/* family - what distinguishes one architecture from another: one descriptor per family, one list
 * (family_list.c). A new family is one file family_NAME.c that ends in a const struct family, and
 * one line in the list. It says what its blocks do as programs (program.h); the rest of the tree
 * knows those and the tensors at both ends. */
#ifndef PTQ_FAMILY_H
#define PTQ_FAMILY_H

#include "../tensor/gguf_names.h"
#include "config.h"
#include "program.h"

struct program_linear; /* program_build.h */
struct vision_kind;    /* vision.h */

struct family;

/* A decoder that stands in a model of several parts: what text_config calls its model_type, and
 * what counts where text_config does not say a size. */
struct family_size {
    const char *key;
    size_t value;
};
struct family_text {
    const char *model_type;
    const struct family *is;
    const struct family_size *sizes; /* ended by one without a key; NULL: none */
};

struct family {
    const char *model_type;   /* config.json "model_type" */
    const char *architecture; /* the member of "architectures" it serves */
    const char *about;        /* one line: models, limits */
    int served;               /* 1: what engines load (engine.h) was tried with a model of it */
    const char *embed, *head, *final_norm; /* tensors, without ".weight" */
    const char *blocks;                    /* "model.layers": block 3 is "model.layers.3" */
    const struct gguf_arch *gguf; /* what llama.cpp calls it; NULL: it is not known there */
    /* Keys of config.json that change the mathematics of this family and that it reads; ended by
     * NULL. Where another family has one (config_read.c lists them) it is refused. */
    const char *const *reads;
    /* What counts where config.json does not say: 0 means hidden_size / heads, 10000 (theta),
     * 1e-6 (eps). theta_window: of blocks with a window, where two_ropes; 0: as the others. */
    size_t head_dim;
    double theta, theta_window, eps, partial; /* partial: of a head that turns; 0: all of it */
    int tied;
    const char *sinks; /* the tensor with a score of each head in the softmax; NULL: none */
    int no_ff;         /* no block has an MLP: intermediate_size is not asked for */
    int delta;         /* it has blocks with a delta rule */
    /* Of a model of several parts: the decoders it may have, ended by one without a name, the
     * first where config.json does not say; what they do is theirs, only the names of tensors are
     * those of this family. flat: there need be no text_config, its keys stand in config.json. */
    const struct family_text *texts;
    int flat;
    const struct vision_kind *vision; /* its tower; NULL: it sees no images */
    int image_blocks;                 /* tokens of one image see each other */
    int two_ropes;  /* rope_parameters apart for blocks with and without a window */
    int rope_pairs; /* neighbours turn together */
    enum norm_kind norm;
    enum activation activation;
    const char *activation_key; /* of config.json; NULL: hidden_act */
    /* Reads the fields only this family has into c; c->json is parsed and the common fields are
     * set. */
    int (*settle)(struct config *c, const char *what, struct err *e);
    /* What block `block` does, into a program that is begun; mistakes stay in the program. */
    void (*build)(const struct config *c, size_t block, struct program *p);
};

const struct family *family_find(const char *model_type); /* NULL: unknown */
const struct family *family_of(const struct config *c);   /* of a parsed config: never NULL */
const struct family *family_text(const struct config *c); /* of its decoder; else family_of() */
const struct family *family_at(size_t i);                 /* NULL past the end */
int family_reads(const struct family *f, const char *key);

/* The program of a block; *p is to be released also after an error. */
int family_program(const struct config *c, size_t block, struct program *p, struct err *e);

/* ---- what many families share ---- */

#define FAMILY_LLAMA_ENDS                                                         \
    .embed = "model.embed_tokens", .head = "lm_head", .final_norm = "model.norm", \
    .blocks = "model.layers"

/* A norm before each of the two sublayers, with their usual names. */
void family_block(const struct config *c, size_t block, struct program *p);
/* The same with the norms behind the sublayers, of what joins the stream. */
void family_block_behind(const struct config *c, size_t block, struct program *p);

/* q, k, v and o with their usual names, of the rows x, into the stream; window, rope, norms and
 * biases as c has them. post: the norm of what joins the stream; NULL: none. */
void family_attention(const struct config *c, struct program *p, size_t block, int x,
                      const char *post);
/* From q, k and v (before norms and rope) to what o reads. */
int family_attend(const struct config *c, struct program *p, size_t block, const int qkv[3]);
/* gate, up and down with their usual names; post as above. */
void family_mlp(const struct config *c, struct program *p, int x, const char *post);
/* The same with gate and up in one linear, gate_up_proj, without biases. */
void family_mlp_fused(const struct config *c, struct program *p, int x, const char *post);
/* What stands in a slot joins the stream by a linear: as c multiplies it, behind the norm post. */
void family_join(const struct config *c, struct program *p, int in, const struct program_linear *l,
                 int has_bias, const char *post);

#endif
