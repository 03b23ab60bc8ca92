/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_config - config.json and generation_config.json of what gguf_info.c has read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "gguf_folder.h"

static int rope_scaling_set(struct json *c, const struct gguf_info *m)
{
    const char *type = m->factor > 0 ? "llama3" : m->yarn_factor > 0 ? "yarn" : "linear";
    const double factor = m->factor > 0        ? m->factor
                          : m->yarn_factor > 0 ? m->yarn_factor
                                               : m->linear_factor;
    struct json *s;

    if (factor <= 0)
        return json_set(c, "rope_scaling", json_new_null());
    s = json_new_object();
    if (!s || json_set_text(s, "rope_type", type) || json_set_real(s, "factor", factor) ||
        (m->factor > 0 && (json_set_real(s, "low_freq_factor", m->low) ||
                           json_set_real(s, "high_freq_factor", m->high))) ||
        (m->linear_factor <= 0 &&
         json_set_int(s, "original_max_position_embeddings", m->original))) {
        json_destroy(&s);
        return -1;
    }
    return json_set(c, "rope_scaling", s);
}

static int table_set(struct json *s, const char *key, const struct gguf *g,
                     const struct gguf_entry *x, struct err *e)
{
    const size_t n = (size_t)x->shape[0];
    float *values = mem_raw(n, sizeof *values, e);
    struct json *list = values ? json_new_array() : NULL;
    int rc = list ? gguf_load_f32(g, x, values, e) : -1;

    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = json_push(list, json_new_real(gguf_shortest(values[i])));
    free(values);
    if (rc == 0)
        return json_set(s, key, list);
    json_destroy(&list);
    return -1;
}

/* Phi-3: what turns of a head, and the two tables. */
static int longrope_set(struct json *c, const struct gguf_info *m, const struct gguf *g,
                        struct err *e)
{
    struct json *s;

    if (json_set_real(c, "partial_rotary_factor", (double)m->rope_width / (double)m->head_dim) ||
        json_set_int(c, "original_max_position_embeddings", m->original))
        return -1;
    if (!m->rope_long)
        return 0;
    s = json_new_object();
    if (!s || json_set_text(s, "type", "longrope") ||
        json_set_real(s, "attention_factor", m->attention_factor) ||
        table_set(s, "short_factor", g, m->rope_short, e) ||
        table_set(s, "long_factor", g, m->rope_long, e)) {
        json_destroy(&s);
        return -1;
    }
    return json_set(c, "rope_scaling", s);
}

/* Gemma 2 and 3. */
static int gemma_set(struct json *c, const struct gguf_info *m)
{
    const int64_t scalar =
        m->layers == (int64_t)m->arch->wide_layers ? m->d / m->heads : m->head_dim;
    struct json *types = json_new_array();

    for (int64_t i = 0; types && i < m->layers; i++)
        if (json_push(types,
                      json_new_text(m->window && i % m->period < m->period - 1 ? "sliding_attention"
                                                                               : "full_attention")))
            json_destroy(&types);
    if (!types || json_set(c, "layer_types", types))
        return -1;
    return json_set_text(c, "hidden_activation", "gelu_pytorch_tanh") ||
                   json_set_int(c, "query_pre_attn_scalar", scalar) ||
                   json_set(c, "attn_logit_softcapping",
                            m->cap > 0 ? json_new_real(m->cap) : json_new_null()) ||
                   json_set(c, "final_logit_softcapping",
                            m->logit_cap > 0 ? json_new_real(m->logit_cap) : json_new_null()) ||
                   (m->window && json_set_int(c, "sliding_window", m->window)) ||
                   (m->arch->qk_norm && json_set_real(c, "rope_local_base_freq", m->theta_window))
               ? -1
               : 0;
}

/* An id of the metadata under its name in config.json, if there is one. */
static int id_set(struct json *c, const char *to, const struct gguf *g, const char *from)
{
    int64_t id;

    if (json_as_int(json_get(g->meta, from), &id) || id < 0)
        return 0;
    return json_set_int(c, to, id);
}

static int experts_set(struct json *c, const struct gguf_info *m)
{
    const int old = m->arch->layout == GGUF_EXPERTS_OLD;

    if (!m->experts)
        return 0;
    if (json_set_int(c, "num_experts_per_tok", m->top) ||
        json_set_int(c, old ? "num_local_experts" : "num_experts", m->experts) ||
        json_set_int(c, old ? "intermediate_size" : "moe_intermediate_size", m->expert_ff))
        return -1;
    return old ? 0
           : json_set_bool(c, "norm_topk_prob", 1) || json_set_int(c, "decoder_sparse_step", 1) ||
                   json_set(c, "mlp_only_layers", json_new_array())
               ? -1
               : 0;
}

static int family_set(struct json *c, const struct gguf_info *m, const struct gguf *g,
                      struct err *e)
{
    const char *type = m->arch->model_type;
    struct json *list = json_new_array();

    if (!list || json_push(list, json_new_text(m->arch->class))) {
        json_destroy(&list);
        return -1;
    }
    if (json_set(c, "architectures", list) || json_set_text(c, "model_type", type) ||
        experts_set(c, m))
        return -1;
    if (m->arch->window_period)
        return gemma_set(c, m);
    if (m->arch->layout == GGUF_FUSED && longrope_set(c, m, g, e))
        return -1;
    if (m->arch->layout == GGUF_FUSED ||
        (strcmp(m->arch->name, "llama") == 0 && strcmp(type, "llama") != 0))
        return json_set(c, "sliding_window", m->window ? json_new_int(m->window) : json_new_null());
    if (strcmp(type, "qwen2") != 0 && json_set_bool(c, "attention_bias", m->attention_bias))
        return -1;
    if (strcmp(type, "llama") == 0)
        return json_set_bool(c, "mlp_bias", m->mlp_bias);
    return json_set_bool(c, "use_sliding_window", 0) ||
                   json_set(c, "sliding_window", json_new_null()) ||
                   json_set_int(c, "max_window_layers", m->layers)
               ? -1
               : 0;
}

static int quantized_set(struct json *c)
{
    struct json *q = json_new_object();

    if (q && json_set_text(q, "quant_method", "gguf") == 0)
        return json_set(c, "quantization_config", q);
    json_destroy(&q);
    return -1;
}

static const char *dtype_word(enum dtype t)
{
    return t == DT_BF16 ? "bfloat16" : t == DT_F16 ? "float16" : "float32";
}

struct json *gguf_config(const struct gguf_info *m, const struct gguf *g, enum dtype t,
                         int quantized, struct err *e)
{
    struct json *c = json_new_object();

    if (c &&
        (json_set_int(c, "intermediate_size", m->ff) || family_set(c, m, g, e) ||
         json_set_int(c, "hidden_size", m->d) || json_set_int(c, "num_hidden_layers", m->layers) ||
         json_set_int(c, "num_attention_heads", m->heads) ||
         json_set_int(c, "num_key_value_heads", m->kv_heads) ||
         json_set_int(c, "head_dim", m->head_dim) ||
         json_set_text(c, "hidden_act", m->arch->window_period ? "gelu_pytorch_tanh" : "silu") ||
         json_set_real(c, "rms_norm_eps", m->eps) ||
         json_set_int(c, "max_position_embeddings", m->context) ||
         json_set_real(c, "rope_theta", m->theta) || (!m->rope_long && rope_scaling_set(c, m)) ||
         json_set_int(c, "vocab_size", m->vocab) ||
         json_set_bool(c, "tie_word_embeddings", m->tied) ||
         json_set_real(c, "attention_dropout", 0) || json_set_real(c, "initializer_range", 0.02) ||
         json_set_bool(c, "use_cache", 1) ||
         id_set(c, "bos_token_id", g, "tokenizer.ggml.bos_token_id") ||
         id_set(c, "eos_token_id", g, "tokenizer.ggml.eos_token_id") ||
         id_set(c, "pad_token_id", g, "tokenizer.ggml.padding_token_id") ||
         json_set_text(c, "torch_dtype", dtype_word(t)) || (quantized && quantized_set(c))))
        json_destroy(&c);
    if (!c && (!e || e->kind == ERR_NONE))
        err_set(e, ERR_SYS, "out of memory for config.json");
    return c;
}

/* The type of its matrices that are of no blocks; of a file without any that of scales. */
static enum dtype plain_type(const struct gguf *g)
{
    enum dtype t = DT_COUNT;

    for (size_t i = 0; i < g->count && t != DT_BF16; i++) {
        const struct gguf_entry *x = &g->entries[i];

        if (x->ndim > 1 && x->type == GGUF_BF16)
            t = DT_BF16;
        else if (x->ndim > 1 && (x->type == GGUF_F16 || gguf_type_find(x->type)->elements > 1))
            t = DT_F16;
    }
    return t == DT_COUNT ? DT_F32 : t;
}

struct json *gguf_config_of(const struct gguf *g, struct err *e)
{
    struct gguf_info m;

    return gguf_info_read(g, &m, e) ? NULL : gguf_config(&m, g, plain_type(g), m.quantized, e);
}

struct json *gguf_generation(const struct gguf *g, struct err *e)
{
    struct json *c = json_new_object(), *stops = NULL;
    int64_t eos = -1, turn = -1;
    int two;

    json_as_int(json_get(g->meta, "tokenizer.ggml.eos_token_id"), &eos);
    json_as_int(json_get(g->meta, "tokenizer.ggml.eot_token_id"), &turn);
    two = eos >= 0 && turn >= 0 && turn != eos; /* a chat model stops at the end of a turn too */
    if (!c || json_set_bool(c, "_from_model_config", 1) ||
        id_set(c, "bos_token_id", g, "tokenizer.ggml.bos_token_id") ||
        id_set(c, "eos_token_id", g, "tokenizer.ggml.eos_token_id") ||
        id_set(c, "pad_token_id", g, "tokenizer.ggml.padding_token_id"))
        goto memory;
    if (two) {
        stops = json_new_array();
        if (!stops || json_push(stops, json_new_int(eos)) || json_push(stops, json_new_int(turn))) {
            json_destroy(&stops);
            goto memory;
        }
        if (json_set(c, "eos_token_id", stops))
            goto memory;
    }
    return c;
memory:
    json_destroy(&c);
    err_set(e, ERR_SYS, "out of memory for generation_config.json");
    return NULL;
}
