/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_names - architectures of llama.cpp: which tensor of a GGUF file is which of a checkpoint
 * (convert_hf_to_gguf.py of llama.cpp), and what shape it has. What an architecture is, its family
 * says (common/model/family_*.c); here stand the rows that many have. */
#ifndef PTQ_GGUF_NAMES_H
#define PTQ_GGUF_NAMES_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"

struct gguf;      /* gguf.h */
struct gguf_info; /* gguf_folder.h */
struct gguf_name;
struct json;

/* Rows of the common table that an architecture has; those of embedding, first norm, o and head
 * all have. */
enum {
    GGUF_QKV = 1,         /* q, k and v apart, with their biases and norms */
    GGUF_MLP = 2,         /* gate, up and down */
    GGUF_NORM_BEFORE = 4, /* ffn_norm is the second of two norms in a block */
    GGUF_DENSE = GGUF_QKV | GGUF_MLP | GGUF_NORM_BEFORE
};
enum gguf_biases {
    GGUF_NO_BIASES,
    GGUF_QKV_BIASES,       /* q, k and v always */
    GGUF_ATTENTION_BIASES, /* of attention, read where they are there; llama.cpp leaves them out */
    GGUF_ANY_BIASES        /* where they are there */
};
enum gguf_windows {
    GGUF_NO_WINDOWS,
    GGUF_ALL_WINDOWS,     /* read: all blocks; not written, llama.cpp leaves it out */
    GGUF_PERIODIC_WINDOWS /* every so many-th block has none */
};

struct gguf_arch {
    const char *model_type, *name, *class; /* of config.json; of the file; of transformers */
    unsigned parts;                        /* of the common table */
    const struct gguf_name *own;           /* rows beside them, ended by one without names */
    const char *activation;                /* hidden_act; NULL: silu */
    int woven;                             /* rows of heads that turn are interleaved in the file */
    enum gguf_biases biases;
    int factors;      /* takes rope_freqs.weight */
    int longrope;     /* takes the two tables of longrope; a part of a head may turn */
    int qk_norm;      /* queries and keys are normed */
    float norm_shift; /* what a norm's weights are more in the file */
    enum gguf_windows windows;
    int period;            /* of windows, where the file says nothing */
    int window;            /* their width then; 0: none has one */
    double theta_window;   /* of their rope then; 0: they have none of their own */
    double cap, logit_cap; /* soft caps then; 0: it has none */
    int wide_layers; /* with so many, scores are divided by sqrt(d / heads), not by a head's */
    int tied;        /* the head is always the embedding */
    int experts;     /* in every block */
    /* Keys of config.json that only it has, out of what the file says. */
    int (*config)(struct json *c, const struct gguf_info *m, const struct gguf *g, struct err *e);
};

/* NULL past the end: those of all families (common/model/family_gguf.c). Of several with one name
 * the first is meant that has experts, or a window, as the file has. */
const struct gguf_arch *gguf_arch_at(size_t i);
/* "llama, mistral, ...": model types, or names of architectures, each once. */
const char *gguf_arch_list(int files, char *out, size_t size);

enum gguf_size {
    GGUF_SIZE_NONE,
    GGUF_SIZE_D,
    GGUF_SIZE_Q,  /* of all heads */
    GGUF_SIZE_KV, /* of all key-value heads */
    GGUF_SIZE_QKV,
    GGUF_SIZE_FF,
    GGUF_SIZE_FF2, /* gate and up */
    GGUF_SIZE_HEAD,
    GGUF_SIZE_VOCAB,
    GGUF_SIZE_EXPERTS,  /* how many */
    GGUF_SIZE_EXPERT_FF /* of one */
};
enum gguf_when {
    GGUF_ALWAYS,
    GGUF_UNTIED,
    GGUF_ATTENTION_BIAS, /* of q, k, v */
    GGUF_OUT_BIAS,       /* of what joins the stream behind attention */
    GGUF_MLP_BIAS,
    GGUF_QK_NORM
};

struct gguf_name {
    const char *file, *model; /* of a block: below blk.N. and model.layers.N.; *: an expert */
    enum gguf_size rows, columns;
    enum gguf_when when;
    int rope;       /* rows of heads that RoPE turns */
    unsigned parts; /* in the common table: of whom; 0: of all */
};

/* Of a block of an architecture, of the model; NULL past the end. */
const struct gguf_name *gguf_name_block(const struct gguf_arch *a, size_t i);
const struct gguf_name *gguf_name_model(size_t i);
/* Of a tensor of a checkpoint of this architecture, NULL: of any; *block, *expert: of which, -1: it
 * is of none. The matrices of all experts stand behind each other in one tensor of the file. NULL:
 * not known. */
const struct gguf_name *gguf_name_find(const struct gguf_arch *a, const char *tensor,
                                       int64_t *block, int64_t *expert);
int gguf_name_is_norm(const struct gguf_name *n);

#endif
