/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_names - the table, both ways. */
#include "gguf_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS "model.layers."

#define NONE GGUF_SIZE_NONE
#define D GGUF_SIZE_D
#define Q GGUF_SIZE_Q
#define KV GGUF_SIZE_KV
#define FF GGUF_SIZE_FF
#define HEAD GGUF_SIZE_HEAD
#define VOCAB GGUF_SIZE_VOCAB

static const struct gguf_name BLOCK[] = {
    {"attn_norm.weight", "input_layernorm.weight", D, NONE, GGUF_ALWAYS, 0},
    {"attn_q.weight", "self_attn.q_proj.weight", Q, D, GGUF_ALWAYS, 1},
    {"attn_q.bias", "self_attn.q_proj.bias", Q, NONE, GGUF_ATTENTION_BIAS, 1},
    {"attn_k.weight", "self_attn.k_proj.weight", KV, D, GGUF_ALWAYS, 1},
    {"attn_k.bias", "self_attn.k_proj.bias", KV, NONE, GGUF_ATTENTION_BIAS, 1},
    {"attn_v.weight", "self_attn.v_proj.weight", KV, D, GGUF_ALWAYS, 0},
    {"attn_v.bias", "self_attn.v_proj.bias", KV, NONE, GGUF_ATTENTION_BIAS, 0},
    {"attn_output.weight", "self_attn.o_proj.weight", D, Q, GGUF_ALWAYS, 0},
    {"attn_output.bias", "self_attn.o_proj.bias", D, NONE, GGUF_OUT_BIAS, 0},
    {"attn_q_norm.weight", "self_attn.q_norm.weight", HEAD, NONE, GGUF_QK_NORM, 0},
    {"attn_k_norm.weight", "self_attn.k_norm.weight", HEAD, NONE, GGUF_QK_NORM, 0},
    {"ffn_norm.weight", "post_attention_layernorm.weight", D, NONE, GGUF_ALWAYS, 0},
    {"ffn_gate.weight", "mlp.gate_proj.weight", FF, D, GGUF_ALWAYS, 0},
    {"ffn_gate.bias", "mlp.gate_proj.bias", FF, NONE, GGUF_MLP_BIAS, 0},
    {"ffn_up.weight", "mlp.up_proj.weight", FF, D, GGUF_ALWAYS, 0},
    {"ffn_up.bias", "mlp.up_proj.bias", FF, NONE, GGUF_MLP_BIAS, 0},
    {"ffn_down.weight", "mlp.down_proj.weight", D, FF, GGUF_ALWAYS, 0},
    {"ffn_down.bias", "mlp.down_proj.bias", D, NONE, GGUF_MLP_BIAS, 0}};

static const struct gguf_name MODEL[] = {
    {"token_embd.weight", "model.embed_tokens.weight", VOCAB, D, GGUF_ALWAYS, 0},
    {"output_norm.weight", "model.norm.weight", D, NONE, GGUF_ALWAYS, 0},
    {"output.weight", "lm_head.weight", VOCAB, D, GGUF_UNTIED, 0}};

/* Of models with experts, those with the names of Qwen3 and those of Mixtral. */
static const struct gguf_name EXPERTS[] = {
    {"ffn_gate_inp.weight", "mlp.gate.weight", NONE, NONE, GGUF_ALWAYS, 0},
    {"ffn_gate_exps.weight", "mlp.experts.*.gate_proj.weight", NONE, NONE, GGUF_ALWAYS, 0},
    {"ffn_up_exps.weight", "mlp.experts.*.up_proj.weight", NONE, NONE, GGUF_ALWAYS, 0},
    {"ffn_down_exps.weight", "mlp.experts.*.down_proj.weight", NONE, NONE, GGUF_ALWAYS, 0},
    {"ffn_gate_inp.weight", "block_sparse_moe.gate.weight", NONE, NONE, GGUF_ALWAYS, 0},
    {"ffn_gate_exps.weight", "block_sparse_moe.experts.*.w1.weight", NONE, NONE, GGUF_ALWAYS, 0},
    {"ffn_up_exps.weight", "block_sparse_moe.experts.*.w3.weight", NONE, NONE, GGUF_ALWAYS, 0},
    {"ffn_down_exps.weight", "block_sparse_moe.experts.*.w2.weight", NONE, NONE, GGUF_ALWAYS, 0}};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

const struct gguf_name *gguf_name_block(size_t i)
{
    return i < COUNT(BLOCK) ? &BLOCK[i] : NULL;
}

const struct gguf_name *gguf_name_model(size_t i)
{
    return i < COUNT(MODEL) ? &MODEL[i] : NULL;
}

static const struct gguf_name *find(const struct gguf_name *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].model, name) == 0)
            return &list[i];
    return NULL;
}

/* What stands behind "model.layers.N."; NULL: it is of no block. */
static const char *in_block(const char *tensor, int64_t *block)
{
    const char *digits = tensor + sizeof BLOCKS - 1;
    char *end;

    if (strncmp(tensor, BLOCKS, sizeof BLOCKS - 1))
        return NULL;
    *block = strtoll(digits, &end, 10);
    return end > digits && *end == '.' ? end + 1 : NULL;
}

const struct gguf_name *gguf_name_find(const char *tensor, int64_t *block)
{
    const char *rest = in_block(tensor, block);

    if (rest)
        return find(BLOCK, COUNT(BLOCK), rest);
    return strncmp(tensor, BLOCKS, sizeof BLOCKS - 1) ? find(MODEL, COUNT(MODEL), tensor) : NULL;
}

const struct gguf_name *gguf_name_expert(const char *tensor, int64_t *block, int64_t *expert)
{
    static const char word[] = "experts.";
    const char *rest = in_block(tensor, block), *at = rest ? strstr(rest, word) : NULL;
    char name[96], *end;

    *expert = -1;
    if (!rest || !at)
        return rest ? find(EXPERTS, COUNT(EXPERTS), rest) : NULL;
    at += sizeof word - 1;
    if (*at < '0' || *at > '9')
        return NULL;
    *expert = strtoll(at, &end, 10);
    snprintf(name, sizeof name, "%.*s*%s", (int)(at - rest), rest, end);
    return find(EXPERTS, COUNT(EXPERTS), name);
}
