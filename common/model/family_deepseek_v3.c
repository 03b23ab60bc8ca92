/* SPDX-License-Identifier: Apache-2.0 */
/* family_deepseek_v3 - DeepSeek V3, R1, and what follows them: queries, and keys with values, come
 * from narrow rows (latents); of a key one part is of its head, the other turns and is shared by
 * all heads. The first blocks dense, in the others experts that a router of sigmoids chooses. The
 * softmax is scaled with YaRN's length. GLM-4.7-Flash has the same blocks and names the dense ones.
 * Leaves out: the published FP8 weights. */
#include <math.h>
#include <string.h>
#include "config_parts.h"
#include "family_experts.h"
#include "program_build.h"

/* Whatever rms_norm_eps says. */
static const struct norm_spec latent = {NORM_RMS, 1e-6};

static int read_widths(struct config *c, const char *what, struct err *e)
{
    const struct json *j = c->json;
    const int64_t most = 65536;

    c->latent_q = 0; /* null: q is one linear */
    if (config_size_or(j, "kv_lora_rank", most, 512, &c->latent_kv, what, e) < 0 ||
        config_size_or(j, "q_lora_rank", most, json_get(j, "q_lora_rank") ? 0 : 1536, &c->latent_q,
                       what, e) < 0 ||
        config_size_or(j, "qk_nope_head_dim", most, 128, &c->key_own, what, e) < 0 ||
        config_size_or(j, "qk_rope_head_dim", most, 64, &c->key_shared, what, e) < 0 ||
        config_size_or(j, "v_head_dim", most, 128, &c->value_dim, what, e) < 0)
        return -1;
    if (c->kv_heads != c->heads)
        return err_set(e, ERR_USE, "%s: num_key_value_heads %zu of num_attention_heads %zu", what,
                       c->kv_heads, c->heads);
    if (c->key_shared % 2 != 0)
        return err_set(e, ERR_USE, "%s: qk_rope_head_dim %zu must be even", what, c->key_shared);
    return 0;
}

/* The rope is that of the shared part; the softmax grows with the length it was stretched to. */
static int read_scale(struct config *c, const char *what, struct err *e)
{
    const struct json *r =
        json_get(c->json, json_has(c->json, "rope_scaling") ? "rope_scaling" : "rope_parameters");
    double all, m = 1;
    int pairs;

    if (json_opt_bool(c->json, "rope_interleave", 1, &pairs, what, e) < 0 ||
        (r && json_opt_real(r, "mscale_all_dim", 0, &all, what, e) < 0))
        return -1;
    if (c->rope.type == ROPE_LONGROPE)
        return err_set(e, ERR_USE, "%s: longrope is not supported for model_type '%s'", what,
                       c->model_type);
    c->rope.pairs = pairs;
    c->rope.width = c->key_shared;
    c->rope_window = c->rope;
    if (r && all != 0 && c->rope.type != ROPE_DEFAULT && c->rope.factor > 1)
        m = 0.1 * all * log(c->rope.factor) + 1;
    c->head_dim = c->key_own + c->key_shared;
    c->attention_scale = m * m / sqrt((double)c->head_dim);
    return 0;
}

static int settle(struct config *c, const char *what, struct err *e)
{
    const struct family_choice defaults = {
        .experts = 256, .groups = 8, .groups_top = 4, .scale = 2.5, .dense = 3};

    return family_read_choice(c, &defaults, what, e) < 0 || read_widths(c, what, e) < 0 ||
                   json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0
               ? -1
               : read_scale(c, what, e);
}

/* mlp_layer_types, where it is there: which blocks have experts. */
static int read_dense(struct config *c, const char *what, struct err *e)
{
    static const char key[] = "mlp_layer_types";
    const struct json *list = json_get(c->json, key);

    if (!json_has(c->json, key))
        return 0;
    if (json_kind(list) != JSON_KIND_ARRAY || json_count(list) != c->layers)
        return err_set(e, ERR_USE, "%s: %s is no list of the %zu layers", what, key, c->layers);
    for (size_t i = 0; i < c->layers; i++) {
        const char *type = json_as_text(json_at(list, i));

        if (type && strcmp(type, "sparse") == 0)
            c->block[i] |= BLOCK_EXPERTS;
        else if (type && strcmp(type, "dense") == 0)
            c->block[i] &= (unsigned char)~BLOCK_EXPERTS;
        else
            return err_set(e, ERR_USE, "%s: %s[%zu] is '%.64s' (known: dense, sparse)", what, key,
                           i, type ? type : "not a text");
    }
    return 0;
}

/* Its own sizes are not those of DeepSeek V3: they have to stand there. */
static int settle_lite(struct config *c, const char *what, struct err *e)
{
    static const char *const sizes[] = {"num_experts_per_tok", "kv_lora_rank",     "q_lora_rank",
                                        "qk_nope_head_dim",    "qk_rope_head_dim", "v_head_dim"};
    const struct family_choice defaults = {.experts = 64, .groups = 1, .scale = 1.8, .dense = 1};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (!json_get(c->json, sizes[i]))
            return err_set(e, ERR_USE, "%s: %s is missing", what, sizes[i]);
    return family_read_choice(c, &defaults, what, e) < 0 || read_dense(c, what, e) < 0 ||
                   read_widths(c, what, e) < 0 ||
                   json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0
               ? -1
               : read_scale(c, what, e);
}

/* The rows of q, and *kv: the latent of keys and values with the shared part behind it. Both of
 * one site where q has a latent too. */
static int queries(const struct config *c, struct program *p, int x, int *kv)
{
    struct program_linear l = {.site = c->latent_q ? "attn.a" : "attn.q",
                               .fused = c->latent_q ? "fused_qkv_a_proj" : NULL,
                               .name = c->latent_q ? "self_attn.q_a_proj" : "self_attn.q_proj",
                               .rows = c->latent_q ? c->latent_q : c->heads * c->head_dim};
    int q = program_linear(p, x, &l);

    l.name = "self_attn.kv_a_proj_with_mqa";
    l.rows = c->latent_kv + c->key_shared;
    *kv = program_linear(p, x, &l);
    if (c->latent_q)
        program_bias(p, q, c->attention_bias);
    program_bias(p, *kv, c->attention_bias);
    if (!c->latent_q)
        return q;
    l = (struct program_linear){
        .name = "self_attn.q_b_proj", .rows = c->heads * c->head_dim, .site = "attn.q"};
    return program_linear(p, program_norm(p, q, "self_attn.q_a_layernorm", &latent), &l);
}

static void attention(const struct config *c, struct program *p, int x)
{
    const size_t own = c->key_own, head = own + c->value_dim;
    const struct attention_shape shape = {.heads = c->heads,
                                          .kv_heads = c->heads,
                                          .head_dim = c->head_dim,
                                          .value_dim = c->value_dim,
                                          .scale = (float)c->attention_scale};
    struct program_linear l = {
        .name = "self_attn.kv_b_proj", .rows = c->heads * head, .site = "attn.kv"};
    int kv, q = queries(c, p, x, &kv), shared, k, v;

    shared = program_cut(p, kv, c->latent_kv, c->key_shared);
    kv = program_linear(
        p,
        program_norm(p, program_cut(p, kv, 0, c->latent_kv), "self_attn.kv_a_layernorm", &latent),
        &l);
    program_rope_from(p, q, c->heads, own, &c->rope);
    program_rope(p, shared, 1, &c->rope);
    k = program_concat(p, program_cut_heads(p, kv, c->heads, 0, own), shared, c->heads, 1);
    v = program_cut_heads(p, kv, c->heads, own, c->value_dim);
    l = (struct program_linear){.name = "self_attn.o_proj", .rows = c->d, .site = "attn.o"};
    family_join(c, p, program_attention(p, q, k, v, &shape), &l, c->attention_bias, NULL);
}

static void build(const struct config *c, size_t block, struct program *p)
{
    int x;

    attention(c, p, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm));
    x = program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm);
    if (c->block[block] & BLOCK_EXPERTS)
        family_experts(c, p, x, &family_experts_chosen);
    else
        family_mlp(c, p, x, NULL);
}

static const char *const reads[] = {"n_routed_experts", "kv_lora_rank", NULL};

extern const struct family family_deepseek_v3, family_glm4_moe_lite;
const struct family family_deepseek_v3 = {
    .model_type = "deepseek_v3",
    .architecture = "DeepseekV3ForCausalLM",
    .about = "DeepSeek V3, R1 in bf16; FP8 weights have to be converted before",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .settle = settle,
    .build = build,
};
const struct family family_glm4_moe_lite = {
    .model_type = "glm4_moe_lite",
    .architecture = "Glm4MoeLiteForCausalLM",
    .about = "GLM-4.7-Flash; no rotation of files with blocks behind the last",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .head_dim = 64,
    .eps = 1e-5,
    .settle = settle_lite,
    .build = build,
};
