/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_names - the architectures of llama.cpp that are known here: which tensor of a GGUF file is
 * which of a checkpoint (convert_hf_to_gguf.py of llama.cpp), and what shape it has. */
#ifndef PTQ_GGUF_NAMES_H
#define PTQ_GGUF_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* Which rows of the table are an architecture's. */
enum gguf_layout {
    GGUF_DENSE = 1,       /* two norms in a block; q, k, v; gate, up */
    GGUF_EXPERTS = 2,     /* the same with experts under the names of Qwen3 */
    GGUF_EXPERTS_OLD = 4, /* under those of Mixtral */
    GGUF_FOUR_NORMS = 8,  /* Gemma 2 and 3 */
    GGUF_FUSED = 16       /* Phi-3: qkv and gate_up in one matrix each */
};

struct gguf_arch {
    const char *model_type, *name, *class; /* of config.json; of the file; of transformers */
    enum gguf_layout layout;
    int woven;        /* rows of heads that turn are interleaved in the file */
    int biases;       /* biases of attention that config.json may ask for */
    int factors;      /* takes rope_freqs.weight */
    int qk_norm;      /* queries and keys are normed */
    float norm_shift; /* what a norm's weights are more in the file */
    /* Blocks with a window: every so many-th has none, unless the file says otherwise; 0: there are
     * none, or all have one. */
    int window_period;
    int wide_layers; /* with so many, scores are divided by sqrt(d / heads), not by a head's */
};

const struct gguf_arch *gguf_arch_at(size_t i); /* NULL past the end */
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
    unsigned layouts;
    enum gguf_size rows, columns;
    enum gguf_when when;
    int rope; /* rows of heads that RoPE turns */
};

/* Of a block, of the model; NULL past the end. */
const struct gguf_name *gguf_name_block(size_t i);
const struct gguf_name *gguf_name_model(size_t i);
/* Of a tensor of a checkpoint of any of these layouts; *block, *expert: of which, -1: it is of
 * none. The matrices of all experts stand behind each other in one tensor of the file. NULL: not
 * known. */
const struct gguf_name *gguf_name_find(unsigned layouts, const char *tensor, int64_t *block,
                                       int64_t *expert);
int gguf_name_is_norm(const struct gguf_name *n);

#endif
