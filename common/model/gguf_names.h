/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_names - which tensor of a GGUF file is which of a checkpoint (the names of Llama, and of
 * experts beside them: convert_hf_to_gguf.py of llama.cpp), and what shape it has. */
#ifndef PTQ_GGUF_NAMES_H
#define PTQ_GGUF_NAMES_H

#include <stddef.h>
#include <stdint.h>

enum gguf_size {
    GGUF_SIZE_NONE,
    GGUF_SIZE_D,
    GGUF_SIZE_Q,  /* of all heads */
    GGUF_SIZE_KV, /* of all key-value heads */
    GGUF_SIZE_FF,
    GGUF_SIZE_HEAD,
    GGUF_SIZE_VOCAB
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
    const char *file, *model; /* of a block: below blk.N. and model.layers.N. */
    enum gguf_size rows, columns;
    enum gguf_when when;
    int rope; /* rows of heads that RoPE turns: architecture llama keeps them interleaved */
};

/* Of a block, of the model; NULL past the end. */
const struct gguf_name *gguf_name_block(size_t i);
const struct gguf_name *gguf_name_model(size_t i);
/* Of a tensor of a checkpoint; *block: of which, when it is of one. NULL: not known. */
const struct gguf_name *gguf_name_find(const char *tensor, int64_t *block);
/* The same of routers and experts, whose matrices stand behind each other in one tensor of the
 * file; *expert: which of them, -1: it is no expert's. Their sizes are not in the table. */
const struct gguf_name *gguf_name_expert(const char *tensor, int64_t *block, int64_t *expert);

#endif
