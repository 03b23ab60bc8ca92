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
#define FF GGUF_SIZE_FF
#define HEAD GGUF_SIZE_HEAD
#define VOCAB GGUF_SIZE_VOCAB
#define QKV GGUF_QKV
#define MLP GGUF_MLP
#define ALWAYS GGUF_ALWAYS
#define BIAS GGUF_ATTENTION_BIAS

static const struct gguf_name BLOCK[] = {
    {"attn_norm.weight", "input_layernorm.weight", D, NONE, ALWAYS, 0, 0},
    {"attn_q.weight", "self_attn.q_proj.weight", Q, D, ALWAYS, 1, QKV},
    {"attn_q.bias", "self_attn.q_proj.bias", Q, NONE, BIAS, 1, QKV},
    {"attn_k.weight", "self_attn.k_proj.weight", KV, D, ALWAYS, 1, QKV},
    {"attn_k.bias", "self_attn.k_proj.bias", KV, NONE, BIAS, 1, QKV},
    {"attn_v.weight", "self_attn.v_proj.weight", KV, D, ALWAYS, 0, QKV},
    {"attn_v.bias", "self_attn.v_proj.bias", KV, NONE, BIAS, 0, QKV},
    {"attn_output.weight", "self_attn.o_proj.weight", D, Q, ALWAYS, 0, 0},
    {"attn_output.bias", "self_attn.o_proj.bias", D, NONE, GGUF_OUT_BIAS, 0, 0},
    {"attn_q_norm.weight", "self_attn.q_norm.weight", HEAD, NONE, GGUF_QK_NORM, 0, QKV},
    {"attn_k_norm.weight", "self_attn.k_norm.weight", HEAD, NONE, GGUF_QK_NORM, 0, QKV},
    {"ffn_norm.weight", "post_attention_layernorm.weight", D, NONE, ALWAYS, 0, GGUF_NORM_BEFORE},
    {"ffn_gate.weight", "mlp.gate_proj.weight", FF, D, ALWAYS, 0, MLP},
    {"ffn_gate.bias", "mlp.gate_proj.bias", FF, NONE, GGUF_MLP_BIAS, 0, MLP},
    {"ffn_up.weight", "mlp.up_proj.weight", FF, D, ALWAYS, 0, MLP},
    {"ffn_up.bias", "mlp.up_proj.bias", FF, NONE, GGUF_MLP_BIAS, 0, MLP},
    {"ffn_down.weight", "mlp.down_proj.weight", D, FF, ALWAYS, 0, MLP},
    {"ffn_down.bias", "mlp.down_proj.bias", D, NONE, GGUF_MLP_BIAS, 0, MLP}};

static const struct gguf_name MODEL[] = {
    {"token_embd.weight", "model.embed_tokens.weight", VOCAB, D, ALWAYS, 0, 0},
    {"output_norm.weight", "model.norm.weight", D, NONE, ALWAYS, 0, 0},
    {"output.weight", "lm_head.weight", VOCAB, D, GGUF_UNTIED, 0, 0}};

#define COUNT(a) (sizeof(a) / sizeof(a)[0])

const char *gguf_arch_list(int files, char *out, size_t size)
{
    const struct gguf_arch *a;
    const char *last = "";
    size_t used = 0;

    *out = '\0';
    for (size_t i = 0; (a = gguf_arch_at(i)) && used < size; i++) {
        const char *name = files ? a->name : a->model_type;

        if (strcmp(name, last) != 0)
            used += (size_t)snprintf(out + used, size - used, "%s%s", i ? ", " : "", name);
        last = name;
    }
    return out;
}

const struct gguf_name *gguf_name_block(const struct gguf_arch *a, size_t i)
{
    for (size_t k = 0; k < COUNT(BLOCK); k++)
        if ((!BLOCK[k].parts || BLOCK[k].parts & a->parts) && i-- == 0)
            return &BLOCK[k];
    for (const struct gguf_name *n = a->own; n && n->file; n++)
        if (i-- == 0)
            return n;
    return NULL;
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

/* a NULL: of any. */
static const struct gguf_name *find_block(const struct gguf_arch *a, const char *name)
{
    const struct gguf_name *n;
    const struct gguf_arch *one;

    for (size_t k = 0; (one = a ? a : gguf_arch_at(k)); k++) {
        for (size_t i = 0; (n = gguf_name_block(one, i)); i++)
            if (strcmp(n->model, name) == 0)
                return n;
        if (a)
            break;
    }
    return NULL;
}

static const struct gguf_name *find_model(const char *name)
{
    for (size_t i = 0; i < COUNT(MODEL); i++)
        if (strcmp(MODEL[i].model, name) == 0)
            return &MODEL[i];
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

const struct gguf_name *gguf_name_find(const struct gguf_arch *a, const char *tensor,
                                       int64_t *block, int64_t *expert)
{
    static const char word[] = "experts.";
    const char *rest = in_block(tensor, block), *at = rest ? strstr(rest, word) : NULL;
    char name[96], *end;

    *expert = -1;
    if (!rest)
        return *block < 0 ? find_model(tensor) : NULL;
    if (!at)
        return find_block(a, rest);
    at += sizeof word - 1;
    if (*at < '0' || *at > '9')
        return NULL;
    *expert = strtoll(at, &end, 10);
    snprintf(name, sizeof name, "%.*s*%s", (int)(at - rest), rest, end);
    return find_block(a, name);
}
