/* SPDX-License-Identifier: Apache-2.0 */
/* family_gemma - Gemma 2 and 3, text: norms of 1 + w before and behind each sublayer, embeddings
 * times sqrt(d). Gemma 2 caps scores and logits; Gemma 3 norms the heads of q and k, and blocks
 * with a window have a rope of their own; its config.json has attn_logit_softcapping, which
 * transformers and vLLM do not look at, so neither do we. Leaves out: attention to both sides. */
#include <math.h>
#include "../tensor/gguf_folder.h"
#include "config_parts.h"
#include "program_build.h"

static int read_cap(const struct config *c, const char *key, double def, double *cap,
                    const char *what, struct err *e)
{
    *cap = def;
    if (json_get(c->json, key) && !json_has(c->json, key))
        *cap = 0; /* null: none */
    return json_has(c->json, key) ? config_need_positive(c->json, key, cap, what, e) : 0;
}

static int settle(struct config *c, double logit_cap, size_t pattern, const char *what,
                  struct err *e)
{
    double scalar;
    int64_t window;

    c->embed_scale = (double)sqrtf((float)c->d);
    if (json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0 ||
        config_positive_or(c->json, "query_pre_attn_scalar", 256, &scalar, what, e) < 0 ||
        read_cap(c, "final_logit_softcapping", logit_cap, &c->logit_cap, what, e) < 0 ||
        config_window_key(c, 4096, &window, what, e) < 0)
        return -1;
    c->attention_scale = 1 / sqrt(scalar);
    c->attention_out_bias = c->attention_bias;
    return config_windows(c, window, pattern, what, e);
}

static int settle2(struct config *c, const char *what, struct err *e)
{
    return read_cap(c, "attn_logit_softcapping", 50, &c->attention_cap, what, e) < 0
               ? -1
               : settle(c, 30, 2, what, e);
}

static int settle3(struct config *c, const char *what, struct err *e)
{
    int64_t pattern, other;

    c->qk_norm = QK_NORM_HEADS;
    if (json_opt_int(c->json, "_sliding_window_pattern", 1, 65536, 6, &other, what, e) < 0 ||
        json_opt_int(c->json, "sliding_window_pattern", 1, 65536, other, &pattern, what, e) < 0)
        return -1;
    return settle(c, 0, (size_t)pattern, what, e);
}

static void build(const struct config *c, size_t block, struct program *p)
{
    family_attention(c, p, block, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm),
                     "post_attention_layernorm");
    family_mlp(c, p, program_norm(p, PROGRAM_STREAM, "pre_feedforward_layernorm", &c->norm),
               "post_feedforward_layernorm");
}

static const char *const reads[] = {"query_pre_attn_scalar", "attn_logit_softcapping",
                                    "final_logit_softcapping", "sliding_window_pattern", NULL};

#define GEMMA                                                                                     \
    FAMILY_LLAMA_ENDS, .reads = reads, .head_dim = 256, .tied = 1, .norm = NORM_RMS_ONE,          \
                       .activation = ACTIVATION_GELU_TANH, .activation_key = "hidden_activation", \
                       .build = build

/* ---- of GGUF files ---- */

static const struct gguf_name gguf_own[] = {
    {"post_attention_norm.weight", "post_attention_layernorm.weight", GGUF_SIZE_D, GGUF_SIZE_NONE,
     GGUF_ALWAYS, 0, 0},
    {"ffn_norm.weight", "pre_feedforward_layernorm.weight", GGUF_SIZE_D, GGUF_SIZE_NONE,
     GGUF_ALWAYS, 0, 0},
    {"post_ffw_norm.weight", "post_feedforward_layernorm.weight", GGUF_SIZE_D, GGUF_SIZE_NONE,
     GGUF_ALWAYS, 0, 0},
    {0}};

static int gguf_config_set(struct json *c, const struct gguf_info *m, const struct gguf *g,
                           struct err *e)
{
    const int64_t scalar =
        m->layers == (int64_t)m->arch->wide_layers ? m->d / m->heads : m->head_dim;
    struct json *types = json_new_array();

    (void)g;
    (void)e;
    for (int64_t i = 0; types && i < m->layers; i++)
        if (json_push(types,
                      json_new_text(m->window && i % m->period < m->period - 1 ? "sliding_attention"
                                                                               : "full_attention")))
            json_destroy(&types);
    if (!types || json_set(c, "layer_types", types))
        return -1;
    return json_set_text(c, "hidden_activation", m->arch->activation) ||
                   json_set_int(c, "query_pre_attn_scalar", scalar) ||
                   json_set(c, "attn_logit_softcapping",
                            m->cap > 0 ? json_new_real(m->cap) : json_new_null()) ||
                   json_set(c, "final_logit_softcapping",
                            m->logit_cap > 0 ? json_new_real(m->logit_cap) : json_new_null()) ||
                   (m->window && json_set_int(c, "sliding_window", m->window)) ||
                   (m->arch->theta_window > 0 &&
                    json_set_real(c, "rope_local_base_freq", m->theta_window))
               ? -1
               : 0;
}

#define GGUF_GEMMA                                                                    \
    .parts = GGUF_QKV | GGUF_MLP, .own = gguf_own, .activation = "gelu_pytorch_tanh", \
    .norm_shift = 1, .windows = GGUF_PERIODIC_WINDOWS, .config = gguf_config_set

static const struct gguf_arch gguf2 = {.model_type = "gemma2",
                                       .name = "gemma2",
                                       .class = "Gemma2ForCausalLM",
                                       GGUF_GEMMA,
                                       .period = 2,
                                       .window = 4096,
                                       .cap = 50,
                                       .logit_cap = 30,
                                       .wide_layers = 46,
                                       .tied = 1},
                              gguf3 = {.model_type = "gemma3_text",
                                       .name = "gemma3",
                                       .class = "Gemma3ForCausalLM",
                                       GGUF_GEMMA,
                                       .qk_norm = 1,
                                       .period = 6,
                                       .theta_window = 10000,
                                       .wide_layers = 62};

extern const struct family family_gemma2, family_gemma3;
const struct family family_gemma2 = {
    .model_type = "gemma2",
    .architecture = "Gemma2ForCausalLM",
    .about = "Gemma 2; no rotation",
    .gguf = &gguf2,
    GEMMA,
    .settle = settle2,
};
const struct family family_gemma3 = {
    .model_type = "gemma3_text",
    .architecture = "Gemma3ForCausalLM",
    .about = "Gemma 3, text only (270M, 1B); no rotation",
    .gguf = &gguf3,
    GEMMA,
    .two_ropes = 1,
    .theta = 1000000,
    .theta_window = 10000,
    .settle = settle3,
};
