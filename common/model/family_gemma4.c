/* SPDX-License-Identifier: Apache-2.0 */
/* family_gemma4 - Gemma 4: blocks without a window have heads of another size and
 * perhaps no v of their own; v is normed without weights, the softmax not scaled; beside the MLP
 * there may be experts, whose router sees the stream itself; a number scales the whole block.
 * The small ones (E2B, E4B): each block has an embedding of its own (model_embed.c), which a gate
 * lets in behind the MLP, and the last blocks have keys and values in common with earlier ones of
 * their kind. Leaves out: attention to both sides. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "config_parts.h"
#include "family_experts.h"
#include "program_build.h"

static const struct family_experts names = {.gate = "experts.%zu.gate_proj",
                                            .up = "experts.%zu.up_proj",
                                            .down = "experts.%zu.down_proj",
                                            .stacked_up = "experts.gate_up_proj",
                                            .stacked_down = "experts.down_proj"};

/* ---- config.json ---- */

/* Both say the same of all blocks without a window, and nothing of the others. */
static int read_each(struct config *c, const struct json *each, const char *what, struct err *e)
{
    char number[24];

    for (size_t i = 0; i < c->layers; i++) {
        const struct json *one;
        size_t n, heads;

        snprintf(number, sizeof number, "%zu", i);
        one = json_get(each, number);
        if (config_size_or(one, "head_dim", 65536, c->head_dim, &n, what, e) < 0 ||
            config_size_or(one, "num_key_value_heads", 65536, c->kv_heads, &heads, what, e) < 0)
            return -1;
        if (!c->full_head_dim && !(c->block[i] & BLOCK_WINDOW)) {
            c->full_head_dim = n;
            c->full_kv_heads = heads;
        }
        if (c->block[i] & BLOCK_WINDOW ? n != c->head_dim || heads != c->kv_heads
                                       : n != c->full_head_dim || heads != c->full_kv_heads)
            return err_set(e, ERR_USE,
                           "%s: per_layer_config.%s: blocks of one kind must have the same sizes",
                           what, number);
    }
    return 0;
}

static int read_full(struct config *c, const char *what, struct err *e)
{
    const struct json *j = c->json;

    if (json_has(j, "per_layer_config"))
        return read_each(c, json_get(j, "per_layer_config"), what, e);
    if (!json_has(j, "global_head_dim"))
        return err_set(e, ERR_USE, "%s: global_head_dim and per_layer_config are missing", what);
    if (config_size(j, "global_head_dim", 65536, &c->full_head_dim, what, e) < 0)
        return -1;
    c->full_kv_heads = c->kv_heads;
    return c->keys_are_values ? config_size_or(j, "num_global_key_value_heads", 65536, c->kv_heads,
                                               &c->full_kv_heads, what, e)
                              : 0;
}

static int read_experts(struct config *c, const char *what, struct err *e)
{
    const struct json *j = c->json;
    int has;

    if (json_opt_bool(j, "enable_moe_block", 0, &has, what, e) < 0)
        return -1;
    if (!has)
        return 0;
    if (config_size(j, "num_experts", 1024, &c->experts, what, e) < 0 ||
        config_size(j, "top_k_experts", 1024, &c->experts_top, what, e) < 0 ||
        config_size(j, "moe_intermediate_size", INT64_C(1) << 24, &c->expert_ff, what, e) < 0)
        return -1;
    for (size_t i = 0; i < c->layers; i++)
        c->block[i] |= BLOCK_EXPERTS;
    return c->experts_top <= c->experts
               ? 0
               : err_set(e, ERR_USE, "%s: top_k_experts %zu of %zu experts", what, c->experts_top,
                         c->experts);
}

/* The block whose keys and values are those of this one too: the last of its kind that makes its
 * own. The block itself: it does; c->layers: there is none. */
static size_t keys_of(const struct config *c, size_t block)
{
    const size_t own = c->layers - c->shared_keys;

    if (block < own)
        return block;
    for (size_t i = own; i-- > 0;)
        if ((c->block[i] & BLOCK_WINDOW) == (c->block[block] & BLOCK_WINDOW))
            return i;
    return c->layers;
}

/* Numbers of a key of blocks with a window, or without. */
static size_t key_width(const struct config *c, int slides)
{
    return slides ? c->kv_heads * c->head_dim : c->full_kv_heads * c->full_head_dim;
}

/* Where the keys stand in the carry, the values behind them. */
static size_t keys_at(const struct config *c, int slides)
{
    return c->layers * c->block_embed + (slides ? 0 : 2 * key_width(c, 1));
}

/* Of the small ones. */
static int read_small(struct config *c, const char *what, struct err *e)
{
    const struct json *j = c->json;
    int64_t embed, shared;

    if (json_opt_int(j, "hidden_size_per_layer_input", 0, 65536, 0, &embed, what, e) < 0 ||
        json_opt_int(j, "num_kv_shared_layers", 0, (int64_t)c->layers, 0, &shared, what, e) < 0 ||
        json_opt_bool(j, "use_double_wide_mlp", 0, &c->shared_wide, what, e) < 0 ||
        config_size_or(j, "vocab_size_per_layer_input", INT64_C(1) << 24, c->vocab,
                       &c->block_embed_vocab, what, e) < 0)
        return -1;
    c->block_embed = (size_t)embed;
    c->shared_keys = (size_t)shared;
    for (size_t i = 0; i < c->layers; i++)
        if (keys_of(c, i) == c->layers)
            return err_set(e, ERR_USE,
                           "%s: num_kv_shared_layers %zu: block %zu has none of its kind before it "
                           "whose keys it could use",
                           what, c->shared_keys, i);
    c->carry = keys_at(c, 1) + (c->shared_keys ? 2 * (key_width(c, 1) + key_width(c, 0)) : 0);
    return 0;
}

/* "vision" is of images alone. */
static int refuse_both_sides(const struct config *c, const char *what, struct err *e)
{
    static const char key[] = "use_bidirectional_attention";
    const struct json *x = json_get(c->json, key);
    const char *of = json_as_text(x);
    int on = 1;

    if (json_kind(x) == JSON_KIND_NULL || (of && strcmp(of, "vision") == 0) ||
        (json_as_bool(x, &on) == 0 && !on))
        return 0;
    return err_set(e, ERR_USE, "%s: %s is not supported for model_type '%s'", what, key,
                   c->model_type);
}

static int settle(struct config *c, const char *what, struct err *e)
{
    const struct json *j = c->json;
    int64_t window;

    c->embed_scale = (double)sqrtf((float)c->d);
    c->attention_scale = 1;
    c->qk_norm = QK_NORM_HEADS;
    if (refuse_both_sides(c, what, e) < 0 ||
        json_opt_bool(j, "attention_bias", 0, &c->attention_bias, what, e) < 0 ||
        json_opt_bool(j, "attention_k_eq_v", 0, &c->keys_are_values, what, e) < 0 ||
        config_window_key(c, 512, &window, what, e) < 0 ||
        (json_has(j, "final_logit_softcapping") &&
         config_need_positive(j, "final_logit_softcapping", &c->logit_cap, what, e) < 0) ||
        config_windows(c, window, 6, what, e) < 0 || read_full(c, what, e) < 0)
        return -1;
    if (c->full_head_dim % 2 != 0 || c->heads % c->full_kv_heads != 0)
        return err_set(e, ERR_USE, "%s: %zu heads of %zu share %zu in blocks without a window",
                       what, c->heads, c->full_head_dim, c->full_kv_heads);
    c->rope.width = c->full_head_dim;
    return read_small(c, what, e) < 0 ? -1 : read_experts(c, what, e);
}

/* ---- blocks ---- */

/* Keys and values, normed and turned. */
static void keys_make(const struct config *c, struct program *p, size_t block, int x, int kv[2])
{
    const int slides = c->block[block] & BLOCK_WINDOW;
    const size_t heads = slides ? c->kv_heads : c->full_kv_heads;
    struct program_linear l = {.name = "self_attn.k_proj",
                               .rows = key_width(c, slides),
                               .site = "attn.qkv",
                               .fused = "qkv_proj"};

    kv[0] = program_linear(p, x, &l);
    program_bias(p, kv[0], c->attention_bias);
    if (slides || !c->keys_are_values) {
        l.name = "self_attn.v_proj";
        kv[1] = program_linear(p, x, &l);
        program_bias(p, kv[1], c->attention_bias);
        program_unit_in(p, kv[1], heads, c->norm.eps);
    } else
        kv[1] = program_unit(p, kv[0], heads, c->norm.eps);
    program_norm_heads(p, kv[0], heads, "self_attn.k_norm", &c->norm);
    program_rope(p, kv[0], heads, config_rope(c, block));
}

/* Is it the block that later ones have their keys from? */
static int is_source(const struct config *c, size_t block)
{
    for (size_t i = c->layers - c->shared_keys; i < c->layers; i++)
        if (keys_of(c, i) == block)
            return 1;
    return 0;
}

static void attention(const struct config *c, struct program *p, size_t block, int x)
{
    const int slides = c->block[block] & BLOCK_WINDOW;
    const size_t n = slides ? c->head_dim : c->full_head_dim, width = key_width(c, slides),
                 at = keys_at(c, slides);
    const struct attention_shape shape = {.heads = c->heads,
                                          .kv_heads = slides ? c->kv_heads : c->full_kv_heads,
                                          .head_dim = n,
                                          .window = config_window(c, block),
                                          .scale = (float)c->attention_scale};
    struct program_linear l = {
        .name = "self_attn.q_proj", .rows = c->heads * n, .site = "attn.qkv", .fused = "qkv_proj"};
    const int q = program_linear(p, x, &l);
    int kv[2];

    program_bias(p, q, c->attention_bias);
    if (keys_of(c, block) == block)
        keys_make(c, p, block, x, kv);
    for (size_t i = 0; i < 2; i++)
        if (keys_of(c, block) != block)
            kv[i] = program_cut(p, p->carry, at + i * width, width);
        else if (c->shared_keys && is_source(c, block))
            program_lay(p, kv[i], p->carry, at + i * width);
    program_norm_heads(p, q, c->heads, "self_attn.q_norm", &c->norm);
    program_rope(p, q, c->heads, config_rope(c, block));
    l = (struct program_linear){.name = "self_attn.o_proj", .rows = c->d, .site = "attn.o"};
    family_join(c, p, program_attention(p, q, kv[0], kv[1], &shape), &l, c->attention_bias,
                "post_attention_layernorm");
}

/* What the router says of the stream. */
static int routed(const struct config *c, struct program *p)
{
    const int x = program_unit(p, PROGRAM_STREAM, 1, c->norm.eps);

    program_times(p, x, "router.scale", c->d, 1 / sqrt((double)c->d));
    return program_route(
        p,
        program_linear(p, x, &(struct program_linear){.name = "router.proj", .rows = c->experts}),
        c->experts_top, 1);
}

/* The MLP and the experts side by side. */
static void both(const struct config *c, struct program *p)
{
    struct program_linear l = {
        .name = "mlp.gate_proj", .rows = c->ff, .site = "mlp.up", .fused = "gate_up_proj"};
    const int x = program_norm(p, PROGRAM_STREAM, "pre_feedforward_layernorm", &c->norm),
              other = program_norm(p, PROGRAM_STREAM, "pre_feedforward_layernorm_2", &c->norm),
              route = routed(c, p), gate = program_linear(p, x, &l);
    int sum, rows;

    l.name = "mlp.up_proj";
    program_gate(p, gate, program_linear(p, x, &l), c->activation);
    rows = family_experts_rows(c, p, other, route, &names);
    l = (struct program_linear){.name = "mlp.down_proj", .rows = c->d, .site = "mlp.down"};
    sum = program_norm(p, program_linear(p, gate, &l), "post_feedforward_layernorm_1", &c->norm);
    program_experts_times(p, rows, route, "router.per_expert_scale");
    program_add(p, sum,
                program_norm(p, program_scatter_new(p, rows, route), "post_feedforward_layernorm_2",
                             &c->norm),
                1);
    program_add(p, PROGRAM_STREAM, program_norm(p, sum, "post_feedforward_layernorm", &c->norm), 1);
}

/* The block's own embedding, as a gate of the stream lets it in. */
static void own_embedding(const struct config *c, size_t block, struct program *p)
{
    const int gate = program_linear(
        p, PROGRAM_STREAM,
        &(struct program_linear){.name = "per_layer_input_gate", .rows = c->block_embed});

    program_gate(p, gate, program_cut(p, p->carry, block * c->block_embed, c->block_embed),
                 c->activation);
    family_join(c, p, gate, &(struct program_linear){.name = "per_layer_projection", .rows = c->d},
                0, "post_per_layer_input_norm");
}

static void mlp(const struct config *c, size_t block, struct program *p)
{
    struct config own = *c; /* borrows all that it points to */

    if (c->shared_wide && block >= c->layers - c->shared_keys)
        own.ff *= 2;
    family_mlp(&own, p, program_norm(p, PROGRAM_STREAM, "pre_feedforward_layernorm", &c->norm),
               "post_feedforward_layernorm");
}

static void build(const struct config *c, size_t block, struct program *p)
{
    if (c->carry)
        program_carry(p, c->carry);
    attention(c, p, block, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm));
    if (c->block[block] & BLOCK_EXPERTS)
        both(c, p);
    else
        mlp(c, block, p);
    if (c->block_embed)
        own_embedding(c, block, p);
    program_times(p, PROGRAM_STREAM, "layer_scalar", 1, 1);
}

static const char *const reads[] = {"final_logit_softcapping", "num_experts",
                                    "use_bidirectional_attention", NULL};

extern const struct family family_gemma4_text, family_gemma4;
const struct family family_gemma4_text = {
    .model_type = "gemma4_text",
    .architecture = "Gemma4ForCausalLM",
    .about = "Gemma 4 31B, 26B-A4B, E2B and E4B (text); no rotation",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .head_dim = 256,
    .tied = 1,
    .two_ropes = 1,
    .theta = 1000000,
    .theta_window = 10000,
    .activation = ACTIVATION_GELU_TANH,
    .activation_key = "hidden_activation",
    .settle = settle,
    .build = build,
};

/* As published, with towers for images and sounds, which are not run. */
static const struct family_text texts[] = {{"gemma4_text", &family_gemma4_text, NULL},
                                           {NULL, NULL, NULL}};

const struct family family_gemma4 = {
    .model_type = "gemma4",
    .architecture = "Gemma4ForConditionalGeneration",
    .about = "Gemma 4 31B, 26B-A4B, E2B and E4B; text without images",
    .embed = "model.language_model.embed_tokens",
    .head = "lm_head",
    .final_norm = "model.language_model.norm",
    .blocks = "model.language_model.layers",
    .texts = texts,
};
