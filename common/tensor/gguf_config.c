/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_config - what a GGUF file's metadata say of the model, and config.json made of it.
 *
 * Architectures: those of gguf_names.c. A metadata key of the architecture that is not known here
 * is refused, because it may change the mathematics. Rope: default, linear, yarn, and llama3, whose
 * parameters a GGUF file does not hold: they are found again from the frequency factors it holds
 * instead. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "gguf_folder.h"

/* of rope scaling; beyond it the tolerance of factors_match() would mean nothing */
#define FACTOR_MAX 128
#define SIZE_MAX_SANE ((int64_t)1 << 31)

/* Below "ARCH."; what a reader may pass over or what is read below. */
static const char *const KNOWN[] = {"block_count",
                                    "context_length",
                                    "embedding_length",
                                    "feed_forward_length",
                                    "attention.head_count",
                                    "attention.head_count_kv",
                                    "attention.key_length",
                                    "attention.value_length",
                                    "attention.layer_norm_rms_epsilon",
                                    "attention.sliding_window",
                                    "rope.dimension_count",
                                    "rope.freq_base",
                                    "rope.scaling.type",
                                    "rope.scaling.factor",
                                    "rope.scaling.original_context_length",
                                    "rope.scaling.finetuned",
                                    "rope.scale_linear",
                                    "vocab_size",
                                    "expert_count",
                                    "expert_used_count",
                                    "expert_feed_forward_length",
                                    "tensor_data_layout",
                                    NULL};

struct reader {
    const struct gguf *g;
    const char *arch;
    struct err *e;
};

static void key_of(const struct reader *r, const char *name, char *key, size_t n)
{
    snprintf(key, n, "%s.%s", r->arch, name);
}

static int need_size(const struct reader *r, const char *name, int64_t *v)
{
    char key[128];

    key_of(r, name, key, sizeof key);
    return json_need_int(r->g->meta, key, 1, SIZE_MAX_SANE, v, r->g->path, r->e);
}

static int opt_size(const struct reader *r, const char *name, int64_t def, int64_t *v)
{
    char key[128];

    key_of(r, name, key, sizeof key);
    return json_opt_int(r->g->meta, key, 0, SIZE_MAX_SANE, def, v, r->g->path, r->e);
}

/* The shortest decimal that gives the same f32 back: 1e-05 instead of 9.999999747378752e-06. */
static double shortest(double v)
{
    char text[32];

    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtof(text, NULL) == (float)v)
            return strtod(text, NULL);
    }
    return v;
}

static int opt_positive(const struct reader *r, const char *name, double def, double *v)
{
    char key[128];

    key_of(r, name, key, sizeof key);
    if (json_opt_real(r->g->meta, key, def, v, r->g->path, r->e))
        return -1;
    *v = shortest(*v);
    if (!(*v > 0) && *v != def)
        return err_set(r->e, ERR_USE, "%s: key '%s' is %g, it must be above 0", r->g->path, key,
                       *v);
    return 0;
}

static const struct gguf_arch *arch_find(const char *name, const char *model_type)
{
    const struct gguf_arch *a;

    for (size_t i = 0; (a = gguf_arch_at(i)); i++)
        if (strcmp(a->name, name) == 0 && (!model_type || strcmp(a->model_type, model_type) == 0))
            return a;
    return NULL;
}

static int arch_read(const struct gguf *g, struct gguf_info *m, struct err *e)
{
    const char *arch = json_need_text(g->meta, "general.architecture", g->path, e);
    char known[256];

    if (!arch)
        return -1;
    if (!(m->arch = arch_find(arch, NULL)))
        return err_set(e, ERR_USE, "%s: architecture '%.64s' cannot be read; these can: %s",
                       g->path, arch, gguf_arch_list(1, known, sizeof known));
    return 0;
}

static int keys_check(const struct gguf *g, const char *arch, struct err *e)
{
    size_t n = strlen(arch);

    for (size_t i = 0; i < json_count(g->meta); i++) {
        const char *key;
        size_t k = 0;

        json_member(g->meta, i, &key);
        if (strncmp(key, arch, n) || key[n] != '.')
            continue;
        while (KNOWN[k] && strcmp(KNOWN[k], key + n + 1))
            k++;
        if (!KNOWN[k])
            return err_set(e, ERR_USE,
                           "%s: key '%.128s' is not known; it may change the mathematics, so this "
                           "file cannot be read",
                           g->path, key);
    }
    return 0;
}

static int sizes_read(const struct reader *r, struct gguf_info *m)
{
    int64_t value, rope, split;

    if (need_size(r, "block_count", &m->layers) || need_size(r, "embedding_length", &m->d) ||
        need_size(r, "feed_forward_length", &m->ff) ||
        need_size(r, "attention.head_count", &m->heads) ||
        need_size(r, "context_length", &m->context) ||
        opt_size(r, "attention.head_count_kv", m->heads, &m->kv_heads) ||
        opt_size(r, "attention.key_length", m->d / m->heads, &m->head_dim) ||
        opt_size(r, "attention.value_length", m->head_dim, &value) ||
        opt_size(r, "rope.dimension_count", m->head_dim, &rope) ||
        opt_size(r, "attention.sliding_window", 0, &m->window) ||
        opt_size(r, "expert_count", 0, &m->experts) ||
        opt_size(r, "expert_used_count", 0, &m->top) ||
        opt_size(r, "expert_feed_forward_length", m->ff, &m->expert_ff) ||
        json_opt_int(r->g->meta, "split.count", 0, 65535, 1, &split, r->g->path, r->e))
        return -1;
    if (split > 1)
        return err_set(r->e, ERR_USE,
                       "%s: one of %lld files of a split model; join them first (llama-gguf-split "
                       "--merge FIRST.gguf OUT.gguf)",
                       r->g->path, (long long)split);
    if (m->experts > 65536 || (m->experts && (m->top < 1 || m->top > m->experts)) ||
        m->expert_ff < 1)
        return err_set(r->e, ERR_USE, "%s: %lld of %lld experts, of %lld, do not make a model",
                       r->g->path, (long long)m->top, (long long)m->experts,
                       (long long)m->expert_ff);
    if (m->layers > 4096 || m->kv_heads < 1 || m->heads % m->kv_heads)
        return err_set(
            r->e, ERR_USE, "%s: %lld blocks, %lld heads, %lld key-value heads do not make a model",
            r->g->path, (long long)m->layers, (long long)m->heads, (long long)m->kv_heads);
    if (m->head_dim < 2 || m->head_dim % 2 || m->head_dim > 65536 || value != m->head_dim ||
        rope != m->head_dim)
        return err_set(r->e, ERR_USE,
                       "%s: key length %lld, value length %lld and rope dimensions %lld must be "
                       "equal and even",
                       r->g->path, (long long)m->head_dim, (long long)value, (long long)rope);
    return 0;
}

static int rope_kind_read(const struct reader *r, struct gguf_info *m)
{
    char key[128];
    const char *type;
    double factor, old;

    if (opt_positive(r, "rope.freq_base", 10000, &m->theta) ||
        opt_positive(r, "rope.scaling.factor", 0, &factor) ||
        opt_positive(r, "rope.scale_linear", 0, &old))
        return -1;
    key_of(r, "rope.scaling.type", key, sizeof key);
    type = json_as_text(json_get(r->g->meta, key));
    if (type && strcmp(type, "none") && strcmp(type, "linear") && strcmp(type, "yarn"))
        return err_set(r->e, ERR_USE, "%s: key '%s' is '%.32s'; none, linear and yarn can be read",
                       r->g->path, key, type);
    if (type && strcmp(type, "none") && factor <= 0)
        return err_set(r->e, ERR_USE, "%s: %s rope scaling without its factor", r->g->path, type);
    if (type && strcmp(type, "yarn") == 0) {
        m->yarn_factor = factor;
        return need_size(r, "rope.scaling.original_context_length", &m->original);
    }
    factor = type && strcmp(type, "linear") == 0 ? factor : type ? 0 : old;
    m->linear_factor = factor == 1 ? 0 : factor;
    return 0;
}

/* How the reference turns f = theta^(-2i/dim) into a factor (1: kept; factor: slowed down;
 * between: by wave length). */
static double llama3_factor(double f, double factor, double low, double high, double original)
{
    double wave = 2 * 3.14159265358979323846 / f, s = (original / wave - low) / (high - low);

    if (wave < original / high)
        return 1;
    if (wave > original / low)
        return factor;
    return 1 / ((1 - s) / factor + s);
}

/* The file's factors were computed in f32: a handful of roundings of 2^-24 in s, enlarged at
 * most `factor` times. */
static int factors_match(const float *have, size_t n, double theta, double factor, double low,
                         double high, double original)
{
    double tolerance = 16 * factor * 0x1p-24;

    for (size_t i = 0; i < n; i++) {
        double f = pow(theta, -(double)i / (double)n),
               want = llama3_factor(f, factor, low, high, original);

        if (!(fabs(have[i] - want) <= tolerance * want))
            return 0;
    }
    return 1;
}

int gguf_rope_factors(const float *factors, size_t n, double theta, struct gguf_info *m)
{
    static const double BANDS[][2] = {{1, 4}, {1, 2}, {1, 8}, {1, 16}, {1, 32}, {2, 4}, {2, 8}};
    double most = 1;

    for (size_t i = 0; i < n; i++)
        if (factors[i] > most)
            most = factors[i];
    m->factor = 0;
    if (!(most <= FACTOR_MAX))
        return -1;
    if (most == 1) /* all of one: no scaling */
        return factors_match(factors, n, theta, 1, 1, 4, 8192) ? 0 : -1;
    for (size_t b = 0; b < sizeof BANDS / sizeof BANDS[0]; b++)
        for (int64_t k = 0; k <= 17; k++) {
            m->original = k == 0 ? 8192 : (int64_t)8 << k; /* Llama 3's own first */
            if (factors_match(factors, n, theta, most, BANDS[b][0], BANDS[b][1],
                              (double)m->original)) {
                m->factor = most;
                m->low = BANDS[b][0];
                m->high = BANDS[b][1];
                return 0;
            }
        }
    return -1;
}

static int rope_factors_read(const struct gguf *g, struct gguf_info *m, struct err *e)
{
    const struct gguf_entry *x = gguf_find(g, "rope_freqs.weight");
    size_t n = (size_t)m->head_dim / 2;
    float *factors;
    int rc = -1;

    if (!x || !m->arch->factors)
        return 0;
    if (x->ndim != 1 || x->shape[0] != n || x->type != GGUF_F32)
        return err_set(e, ERR_USE, "%s: tensor 'rope_freqs.weight' must be %zu values of F32",
                       g->path, n);
    if (m->linear_factor > 0 || m->yarn_factor > 0)
        return err_set(e, ERR_USE, "%s: both rope scaling and tensor 'rope_freqs.weight'", g->path);
    factors = mem_array(n, sizeof *factors, e);
    if (!factors || gguf_load_f32(g, x, factors, e))
        goto out;
    rc = gguf_rope_factors(factors, n, m->theta, m);
    if (rc)
        err_set(e, ERR_USE,
                "%s: tensor 'rope_freqs.weight' holds frequency factors that no llama3 rope "
                "scaling gives; "
                "config.json could not say them",
                g->path);
out:
    free(factors);
    return rc;
}

/* Architecture llama is several families, and biases are where their tensors are. */
static int family_read(const struct gguf *g, struct gguf_info *m, struct err *e)
{
    const int experts = (m->arch->layout & (GGUF_EXPERTS | GGUF_EXPERTS_OLD)) != 0;
    const int llama = strcmp(m->arch->name, "llama") == 0;

    m->attention_bias =
        strcmp(m->arch->name, "qwen2") == 0 || gguf_find(g, "blk.0.attn_q.bias") != NULL;
    m->out_bias = strcmp(m->arch->name, "qwen2") != 0 && m->attention_bias;
    m->mlp_bias = gguf_find(g, "blk.0.ffn_gate.bias") != NULL;
    if (m->window && !llama)
        return err_set(e, ERR_USE, "%s: a sliding window in a %s model cannot be read", g->path,
                       m->arch->name);
    if (llama && m->experts)
        m->arch = arch_find("llama", "mixtral");
    else if (llama && m->window)
        m->arch = arch_find("llama", "mistral");
    else if (!m->experts != !experts)
        return err_set(e, ERR_USE, "%s: %lld experts in a %s model", g->path, (long long)m->experts,
                       m->arch->name);
    if ((m->mlp_bias || m->attention_bias) && llama && strcmp(m->arch->model_type, "llama") != 0)
        return err_set(e, ERR_USE, "%s: biases that a %s model cannot have", g->path,
                       m->arch->model_type);
    if (m->mlp_bias && !llama)
        return err_set(e, ERR_USE, "%s: biases that a %s model cannot have", g->path,
                       m->arch->name);
    return 0;
}

static int is_quantized(const struct gguf *g)
{
    for (size_t i = 0; i < g->count; i++)
        if (strncmp(g->entries[i].name, "blk.", 4) == 0 &&
            gguf_type_find(g->entries[i].type)->elements > 1)
            return 1;
    return 0;
}

int gguf_info_read(const struct gguf *g, struct gguf_info *m, struct err *e)
{
    const struct gguf_entry *embed = gguf_find(g, "token_embd.weight");
    struct reader r = {g, NULL, e};
    int64_t vocab;

    memset(m, 0, sizeof *m);
    if (arch_read(g, m, e) || keys_check(g, m->arch->name, e))
        return -1;
    r.arch = m->arch->name;
    if (sizes_read(&r, m) || rope_kind_read(&r, m) ||
        opt_positive(&r, "attention.layer_norm_rms_epsilon", 1e-6, &m->eps))
        return -1;
    if (!embed || embed->ndim != 2)
        return err_set(e, ERR_USE, "%s: tensor 'token_embd.weight' is missing or not a matrix",
                       g->path);
    m->vocab = (int64_t)embed->shape[0];
    if (opt_size(&r, "vocab_size", m->vocab, &vocab))
        return -1;
    if (vocab != m->vocab || m->vocab < 1)
        return err_set(e, ERR_USE,
                       "%s: key '%s.vocab_size' is %lld, tensor 'token_embd.weight' has %lld rows",
                       g->path, m->arch->name, (long long)vocab, (long long)m->vocab);
    m->tied = !gguf_find(g, "output.weight");
    m->quantized = is_quantized(g);
    return family_read(g, m, e) ? -1 : rope_factors_read(g, m, e);
}

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

static int family_set(struct json *c, const struct gguf_info *m)
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
    if (strcmp(m->arch->name, "llama") == 0 && strcmp(type, "llama") != 0)
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
        (json_set_int(c, "intermediate_size", m->ff) || family_set(c, m) ||
         json_set_int(c, "hidden_size", m->d) || json_set_int(c, "num_hidden_layers", m->layers) ||
         json_set_int(c, "num_attention_heads", m->heads) ||
         json_set_int(c, "num_key_value_heads", m->kv_heads) ||
         json_set_int(c, "head_dim", m->head_dim) || json_set_text(c, "hidden_act", "silu") ||
         json_set_real(c, "rms_norm_eps", m->eps) ||
         json_set_int(c, "max_position_embeddings", m->context) ||
         json_set_real(c, "rope_theta", m->theta) || rope_scaling_set(c, m) ||
         json_set_int(c, "vocab_size", m->vocab) ||
         json_set_bool(c, "tie_word_embeddings", m->tied) ||
         json_set_real(c, "attention_dropout", 0) || json_set_real(c, "initializer_range", 0.02) ||
         json_set_bool(c, "use_cache", 1) ||
         id_set(c, "bos_token_id", g, "tokenizer.ggml.bos_token_id") ||
         id_set(c, "eos_token_id", g, "tokenizer.ggml.eos_token_id") ||
         id_set(c, "pad_token_id", g, "tokenizer.ggml.padding_token_id") ||
         json_set_text(c, "torch_dtype", dtype_word(t)) || (quantized && quantized_set(c))))
        json_destroy(&c);
    if (!c)
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
