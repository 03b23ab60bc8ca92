/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_names - the tables, both ways. */
#include "gguf_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCKS "model.layers."

#define NONE GGUF_SIZE_NONE
#define D GGUF_SIZE_D
#define Q GGUF_SIZE_Q
#define KV GGUF_SIZE_KV
#define QKV GGUF_SIZE_QKV
#define FF GGUF_SIZE_FF
#define FF2 GGUF_SIZE_FF2
#define HEAD GGUF_SIZE_HEAD
#define VOCAB GGUF_SIZE_VOCAB
#define E GGUF_SIZE_EXPERTS
#define EFF GGUF_SIZE_EXPERT_FF

/* More than one is read by what else the file says: llama is Mixtral where it has experts, Mistral
 * where it has a window. */
static const struct gguf_arch ARCHS[] = {
    {.model_type = "llama",
     .name = "llama",
     .class = "LlamaForCausalLM",
     .layout = GGUF_DENSE,
     .woven = 1,
     .biases = 1,
     .factors = 1},
    {.model_type = "mistral",
     .name = "llama",
     .class = "MistralForCausalLM",
     .layout = GGUF_DENSE,
     .woven = 1,
     .factors = 1},
    {.model_type = "mixtral",
     .name = "llama",
     .class = "MixtralForCausalLM",
     .layout = GGUF_EXPERTS_OLD,
     .woven = 1,
     .factors = 1},
    {.model_type = "qwen2",
     .name = "qwen2",
     .class = "Qwen2ForCausalLM",
     .layout = GGUF_DENSE,
     .biases = 1},
    {.model_type = "qwen3",
     .name = "qwen3",
     .class = "Qwen3ForCausalLM",
     .layout = GGUF_DENSE,
     .qk_norm = 1},
    {.model_type = "qwen3_moe",
     .name = "qwen3moe",
     .class = "Qwen3MoeForCausalLM",
     .layout = GGUF_EXPERTS,
     .qk_norm = 1},
    {.model_type = "gemma2",
     .name = "gemma2",
     .class = "Gemma2ForCausalLM",
     .layout = GGUF_FOUR_NORMS,
     .norm_shift = 1,
     .window_period = 2,
     .wide_layers = 46},
    {.model_type = "gemma3_text",
     .name = "gemma3",
     .class = "Gemma3ForCausalLM",
     .layout = GGUF_FOUR_NORMS,
     .qk_norm = 1,
     .norm_shift = 1,
     .window_period = 6,
     .wide_layers = 62},
    {.model_type = "phi3", .name = "phi3", .class = "Phi3ForCausalLM", .layout = GGUF_FUSED}};

#define ALL (GGUF_DENSE | GGUF_EXPERTS | GGUF_EXPERTS_OLD | GGUF_FOUR_NORMS | GGUF_FUSED)
#define ANY_EXPERTS (GGUF_EXPERTS | GGUF_EXPERTS_OLD)
#define APART (ALL & ~(unsigned)GGUF_FUSED) /* q, k and v */
#define TWO_NORMS (ALL & ~(unsigned)GGUF_FOUR_NORMS)
#define MLP (GGUF_DENSE | GGUF_FOUR_NORMS)
#define NEW GGUF_EXPERTS
#define OLD GGUF_EXPERTS_OLD

static const struct gguf_name BLOCK[] = {
    {"attn_norm.weight", "input_layernorm.weight", ALL, D, NONE, GGUF_ALWAYS, 0},
    {"attn_q.weight", "self_attn.q_proj.weight", APART, Q, D, GGUF_ALWAYS, 1},
    {"attn_q.bias", "self_attn.q_proj.bias", APART, Q, NONE, GGUF_ATTENTION_BIAS, 1},
    {"attn_k.weight", "self_attn.k_proj.weight", APART, KV, D, GGUF_ALWAYS, 1},
    {"attn_k.bias", "self_attn.k_proj.bias", APART, KV, NONE, GGUF_ATTENTION_BIAS, 1},
    {"attn_v.weight", "self_attn.v_proj.weight", APART, KV, D, GGUF_ALWAYS, 0},
    {"attn_v.bias", "self_attn.v_proj.bias", APART, KV, NONE, GGUF_ATTENTION_BIAS, 0},
    {"attn_qkv.weight", "self_attn.qkv_proj.weight", GGUF_FUSED, QKV, D, GGUF_ALWAYS, 0},
    {"attn_output.weight", "self_attn.o_proj.weight", ALL, D, Q, GGUF_ALWAYS, 0},
    {"attn_output.bias", "self_attn.o_proj.bias", ALL, D, NONE, GGUF_OUT_BIAS, 0},
    {"attn_q_norm.weight", "self_attn.q_norm.weight", APART, HEAD, NONE, GGUF_QK_NORM, 0},
    {"attn_k_norm.weight", "self_attn.k_norm.weight", APART, HEAD, NONE, GGUF_QK_NORM, 0},
    {"ffn_norm.weight", "post_attention_layernorm.weight", TWO_NORMS, D, NONE, GGUF_ALWAYS, 0},
    {"post_attention_norm.weight", "post_attention_layernorm.weight", GGUF_FOUR_NORMS, D, NONE,
     GGUF_ALWAYS, 0},
    {"ffn_norm.weight", "pre_feedforward_layernorm.weight", GGUF_FOUR_NORMS, D, NONE, GGUF_ALWAYS,
     0},
    {"post_ffw_norm.weight", "post_feedforward_layernorm.weight", GGUF_FOUR_NORMS, D, NONE,
     GGUF_ALWAYS, 0},
    {"ffn_gate.weight", "mlp.gate_proj.weight", MLP, FF, D, GGUF_ALWAYS, 0},
    {"ffn_gate.bias", "mlp.gate_proj.bias", MLP, FF, NONE, GGUF_MLP_BIAS, 0},
    {"ffn_up.weight", "mlp.up_proj.weight", MLP, FF, D, GGUF_ALWAYS, 0},
    {"ffn_up.bias", "mlp.up_proj.bias", MLP, FF, NONE, GGUF_MLP_BIAS, 0},
    {"ffn_up.weight", "mlp.gate_up_proj.weight", GGUF_FUSED, FF2, D, GGUF_ALWAYS, 0},
    {"ffn_down.weight", "mlp.down_proj.weight", MLP | GGUF_FUSED, D, FF, GGUF_ALWAYS, 0},
    {"ffn_down.bias", "mlp.down_proj.bias", MLP, D, NONE, GGUF_MLP_BIAS, 0},
    {"ffn_gate_inp.weight", "mlp.gate.weight", NEW, E, D, GGUF_ALWAYS, 0},
    {"ffn_gate_exps.weight", "mlp.experts.*.gate_proj.weight", NEW, EFF, D, GGUF_ALWAYS, 0},
    {"ffn_up_exps.weight", "mlp.experts.*.up_proj.weight", NEW, EFF, D, GGUF_ALWAYS, 0},
    {"ffn_down_exps.weight", "mlp.experts.*.down_proj.weight", NEW, D, EFF, GGUF_ALWAYS, 0},
    {"ffn_gate_inp.weight", "block_sparse_moe.gate.weight", OLD, E, D, GGUF_ALWAYS, 0},
    {"ffn_gate_exps.weight", "block_sparse_moe.experts.*.w1.weight", OLD, EFF, D, GGUF_ALWAYS, 0},
    {"ffn_up_exps.weight", "block_sparse_moe.experts.*.w3.weight", OLD, EFF, D, GGUF_ALWAYS, 0},
    {"ffn_down_exps.weight", "block_sparse_moe.experts.*.w2.weight", OLD, D, EFF, GGUF_ALWAYS, 0}};

static const struct gguf_name MODEL[] = {
    {"token_embd.weight", "model.embed_tokens.weight", ALL, VOCAB, D, GGUF_ALWAYS, 0},
    {"output_norm.weight", "model.norm.weight", ALL, D, NONE, GGUF_ALWAYS, 0},
    {"output.weight", "lm_head.weight", ALL, VOCAB, D, GGUF_UNTIED, 0}};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

const struct gguf_arch *gguf_arch_at(size_t i)
{
    return i < COUNT(ARCHS) ? &ARCHS[i] : NULL;
}

const char *gguf_arch_list(int files, char *out, size_t size)
{
    size_t used = 0;

    *out = '\0';
    for (size_t i = 0; i < COUNT(ARCHS) && used < size; i++) {
        const char *name = files ? ARCHS[i].name : ARCHS[i].model_type;

        if (i == 0 || strcmp(name, files ? ARCHS[i - 1].name : "") != 0)
            used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", name);
    }
    return out;
}

const struct gguf_name *gguf_name_block(size_t i)
{
    return i < COUNT(BLOCK) ? &BLOCK[i] : NULL;
}

const struct gguf_name *gguf_name_model(size_t i)
{
    return i < COUNT(MODEL) ? &MODEL[i] : NULL;
}

int gguf_name_is_norm(const struct gguf_name *n)
{
    const size_t length = strlen(n->file), tail = sizeof "norm.weight" - 1;

    return length >= tail && strcmp(n->file + length - tail, "norm.weight") == 0;
}

static const struct gguf_name *find(const struct gguf_name *list, size_t n, unsigned layouts,
                                    const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (list[i].layouts & layouts && strcmp(list[i].model, name) == 0)
            return &list[i];
    return NULL;
}

/* What stands behind "model.layers.N."; NULL: it is of no block. */
static const char *in_block(const char *tensor, int64_t *block)
{
    const char *digits = tensor + sizeof BLOCKS - 1;
    char *end;

    *block = -1;
    if (strncmp(tensor, BLOCKS, sizeof BLOCKS - 1) || *digits < '0' || *digits > '9')
        return NULL;
    *block = strtoll(digits, &end, 10);
    return *end == '.' ? end + 1 : NULL;
}

const struct gguf_name *gguf_name_find(unsigned layouts, const char *tensor, int64_t *block,
                                       int64_t *expert)
{
    static const char word[] = "experts.";
    const char *rest = in_block(tensor, block), *at = rest ? strstr(rest, word) : NULL;
    char name[96], *end;

    *expert = -1;
    if (!rest)
        return *block < 0 ? find(MODEL, COUNT(MODEL), layouts, tensor) : NULL;
    if (!at)
        return find(BLOCK, COUNT(BLOCK), layouts, rest);
    at += sizeof word - 1;
    if (*at < '0' || *at > '9')
        return NULL;
    *expert = strtoll(at, &end, 10);
    snprintf(name, sizeof name, "%.*s*%s", (int)(at - rest), rest, end);
    return find(BLOCK, COUNT(BLOCK), layouts, name);
}
