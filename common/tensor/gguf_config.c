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

/* An id of the metadata under its name in config.json, if there is one. */
static int id_set(struct json *c, const char *to, const struct gguf *g, const char *from)
{
    int64_t id;

    if (json_as_int(json_get(g->meta, from), &id) || id < 0)
        return 0;
    return json_set_int(c, to, id);
}

static int family_set(struct json *c, const struct gguf_info *m, const struct gguf *g,
                      struct err *e)
{
    struct json *list = json_new_array();

    if (!list || json_push(list, json_new_text(m->arch->class))) {
        json_destroy(&list);
        return -1;
    }
    return json_set(c, "architectures", list) ||
                   json_set_text(c, "model_type", m->arch->model_type) ||
                   (m->arch->config && m->arch->config(c, m, g, e))
               ? -1
               : 0;
}

int gguf_config_no_windows(struct json *c, const struct gguf_info *m)
{
    return json_set_bool(c, "use_sliding_window", 0) ||
                   json_set(c, "sliding_window", json_new_null()) ||
                   json_set_int(c, "max_window_layers", m->layers)
               ? -1
               : 0;
}

int gguf_config_window(struct json *c, const struct gguf_info *m)
{
    return json_set(c, "sliding_window", m->window ? json_new_int(m->window) : json_new_null());
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
         json_set_text(c, "hidden_act", m->arch->activation ? m->arch->activation : "silu") ||
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
