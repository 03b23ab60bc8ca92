/* SPDX-License-Identifier: Apache-2.0 */
/* family_qwen3_next - Qwen3-Next and the decoders of Qwen3.5: in most blocks a gated delta rule,
 * in the others attention whose result is gated; dense, or experts with a shared one. Norms count
 * from 1, but for the one behind the delta rule. Tensors of blocks that foresee tokens (mtp.*)
 * take no part. */
#include "config_parts.h"
#include "family_experts.h"
#include "program_build.h"

#define DELTA "linear_attn."
#define SHARED "mlp.shared_expert."

static const struct family_experts names = {.router = "mlp.gate",
                                            .gate = "mlp.experts.%zu.gate_proj",
                                            .up = "mlp.experts.%zu.up_proj",
                                            .down = "mlp.experts.%zu.down_proj",
                                            .stacked_up = "mlp.experts.gate_up_proj",
                                            .stacked_down = "mlp.experts.down_proj",
                                            .shared_gate = SHARED "gate_proj",
                                            .shared_up = SHARED "up_proj",
                                            .shared_down = SHARED "down_proj",
                                            .share = "mlp.shared_expert_gate"};

/* ---- config.json ---- */

static int read_kinds(struct config *c, const char *what, struct err *e)
{
    int64_t step;

    if (json_opt_int(c->json, "full_attention_interval", 1, 65536, 4, &step, what, e) < 0)
        return -1;
    if (json_has(c->json, "layer_types"))
        return config_layer_types(c, what, e) < 0 ? -1 : 0;
    for (size_t i = 0; i < c->layers; i++)
        if ((i + 1) % (size_t)step != 0)
            c->block[i] |= BLOCK_DELTA;
    return 0;
}

static int settle(struct config *c, const char *what, struct err *e)
{
    const struct json *j = c->json;
    const int64_t most = 65536;

    c->qk_norm = QK_NORM_HEADS;
    if (read_kinds(c, what, e) < 0 ||
        json_opt_bool(j, "attention_bias", 0, &c->attention_bias, what, e) < 0 ||
        config_size_or(j, "linear_num_key_heads", most, 16, &c->delta_key_heads, what, e) < 0 ||
        config_size_or(j, "linear_num_value_heads", most, 32, &c->delta_value_heads, what, e) < 0 ||
        config_size_or(j, "linear_key_head_dim", most, 128, &c->delta_key_dim, what, e) < 0 ||
        config_size_or(j, "linear_value_head_dim", most, 128, &c->delta_value_dim, what, e) < 0 ||
        config_size_or(j, "linear_conv_kernel_dim", 64, 4, &c->delta_taps, what, e) < 0)
        return -1;
    c->attention_out_bias = c->attention_bias;
    if (c->delta_value_heads % c->delta_key_heads != 0)
        return err_set(e, ERR_USE,
                       "%s: linear_num_value_heads %zu is not a multiple of linear_num_key_heads "
                       "%zu",
                       what, c->delta_value_heads, c->delta_key_heads);
    return 0;
}

static int settle_experts(struct config *c, size_t count, size_t top, const char *what,
                          struct err *e)
{
    if (settle(c, what, e) < 0 ||
        family_read_experts(c, count, top, "moe_intermediate_size", what, e) < 0 ||
        config_size(c->json, "shared_expert_intermediate_size", INT64_C(1) << 24, &c->shared_ff,
                    what, e) < 0)
        return -1;
    c->experts_normalized = 1;
    return 0;
}

static int settle_next(struct config *c, const char *what, struct err *e)
{
    return settle_experts(c, 512, 10, what, e) < 0 ||
                   json_opt_bool(c->json, "norm_topk_prob", 1, &c->experts_normalized, what, e) <
                       0 ||
                   family_read_dense(c, what, e) < 0
               ? -1
               : 0;
}

static int settle_moe(struct config *c, const char *what, struct err *e)
{
    return settle_experts(c, 256, 8, what, e);
}

/* ---- the delta rule ---- */

struct parts { /* what it reads of a row: [q | k | v], the gate of the result, beta, decay */
    int qkv, z, beta, decay;
};

static int part(struct program *p, int x, const char *name, size_t rows, const char *site,
                const char *fused)
{
    return program_linear(
        p, x, &(struct program_linear){.name = name, .rows = rows, .site = site, .fused = fused});
}

static struct parts parts_apart(const struct config *c, struct program *p, int x)
{
    const size_t v = c->delta_value_heads * c->delta_value_dim,
                 k = c->delta_key_heads * c->delta_key_dim;
    struct parts n;

    n.qkv = part(p, x, DELTA "in_proj_qkv", 2 * k + v, "delta.in", "in_proj_qkvz");
    n.z = part(p, x, DELTA "in_proj_z", v, "delta.in", "in_proj_qkvz");
    n.beta = part(p, x, DELTA "in_proj_b", c->delta_value_heads, NULL, NULL);
    n.decay = part(p, x, DELTA "in_proj_a", c->delta_value_heads, NULL, NULL);
    return n;
}

/* By heads of keys: q, k, v and z of all that share it; b and a. */
static struct parts parts_by_head(const struct config *c, struct program *p, int x)
{
    const size_t heads = c->delta_key_heads, share = c->delta_value_heads / heads,
                 k = c->delta_key_dim, v = share * c->delta_value_dim;
    const int all = part(p, x, DELTA "in_proj_qkvz", heads * 2 * (k + v), "delta.in", NULL),
              ba = part(p, x, DELTA "in_proj_ba", 2 * c->delta_value_heads, NULL, NULL);
    struct parts n;
    int qk;

    qk = program_concat(p, program_cut_heads(p, all, heads, 0, k),
                        program_cut_heads(p, all, heads, k, k), 1, 0);
    n.qkv = program_concat(p, qk, program_cut_heads(p, all, heads, 2 * k, v), 1, 0);
    n.z = program_cut_heads(p, all, heads, 2 * k + v, v);
    n.beta = program_cut_heads(p, ba, heads, 0, share);
    n.decay = program_cut_heads(p, ba, heads, share, share);
    return n;
}

static void delta(const struct config *c, struct program *p, const struct parts *n)
{
    const struct delta_shape shape = {.key_heads = c->delta_key_heads,
                                      .value_heads = c->delta_value_heads,
                                      .key_dim = c->delta_key_dim,
                                      .value_dim = c->delta_value_dim};
    const struct norm_spec plain = {NORM_RMS, c->norm.eps};
    int core;

    program_vector(p, n->decay, DELTA "dt_bias");
    program_decay(p, n->decay, DELTA "A_log");
    core = program_delta(p, program_conv(p, n->qkv, DELTA "conv1d", c->delta_taps), n->beta,
                         n->decay, &shape);
    program_norm_heads(p, core, c->delta_value_heads, DELTA "norm", &plain);
    program_gate(p, n->z, core, ACTIVATION_SILU);
    family_join(
        c, p, n->z,
        &(struct program_linear){.name = DELTA "out_proj", .rows = c->d, .site = "delta.out"}, 0,
        NULL);
}

/* ---- attention: q and its gate head by head ---- */

static void attention(const struct config *c, struct program *p, size_t block, int x)
{
    const size_t n = c->head_dim, heads = c->heads;
    struct program_linear l = {
        .name = "self_attn.q_proj", .rows = 2 * heads * n, .site = "attn.qkv", .fused = "qkv_proj"};
    int qkv[3], both = program_linear(p, x, &l), gate;

    l.name = "self_attn.k_proj";
    l.rows = c->kv_heads * n;
    qkv[1] = program_linear(p, x, &l);
    l.name = "self_attn.v_proj";
    qkv[2] = program_linear(p, x, &l);
    program_bias(p, both, c->attention_bias);
    program_bias(p, qkv[1], c->attention_bias);
    program_bias(p, qkv[2], c->attention_bias);
    qkv[0] = program_cut_heads(p, both, heads, 0, n);
    gate = program_cut_heads(p, both, heads, n, n);
    program_gate(p, gate, family_attend(c, p, block, qkv), ACTIVATION_SIGMOID);
    l = (struct program_linear){.name = "self_attn.o_proj", .rows = c->d, .site = "attn.o"};
    family_join(c, p, gate, &l, c->attention_out_bias, NULL);
}

static void build_with(const struct config *c, size_t block, struct program *p,
                       struct parts (*parts_of)(const struct config *c, struct program *p, int x))
{
    int x = program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm);

    if (c->block[block] & BLOCK_DELTA) {
        const struct parts n = parts_of(c, p, x);

        delta(c, p, &n);
    } else
        attention(c, p, block, x);
    x = program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm);
    if (c->block[block] & BLOCK_EXPERTS)
        family_experts(c, p, x, &names);
    else
        family_mlp(c, p, x, NULL);
}

static void build(const struct config *c, size_t block, struct program *p)
{
    build_with(c, block, p, parts_apart);
}

static void build_next(const struct config *c, size_t block, struct program *p)
{
    build_with(c, block, p, parts_by_head);
}

static const char *const reads[] = {"num_experts", "num_local_experts",
                                    "shared_expert_intermediate_size", "partial_rotary_factor",
                                    NULL},
                         *const reads_dense[] = {"partial_rotary_factor", "mrope_section", NULL},
                         *const reads_moe[] = {"num_experts",
                                               "num_local_experts",
                                               "shared_expert_intermediate_size",
                                               "partial_rotary_factor",
                                               "mrope_section",
                                               NULL};

#define NEXT FAMILY_LLAMA_ENDS, .head_dim = 256, .partial = 0.25, .norm = NORM_RMS_ONE, .delta = 1

extern const struct family family_qwen3_next, family_qwen3_5_text, family_qwen3_5_moe_text,
    family_qwen3_5, family_qwen3_5_moe;
const struct family family_qwen3_next = {
    .model_type = "qwen3_next",
    .architecture = "Qwen3NextForCausalLM",
    .about = "Qwen3-Next (80B-A3B)",
    NEXT,
    .reads = reads,
    .settle = settle_next,
    .build = build_next,
};
const struct family family_qwen3_5_text = {
    .model_type = "qwen3_5_text",
    .architecture = "Qwen3_5ForCausalLM",
    .about = "Qwen3.5 dense, text only",
    NEXT,
    .reads = reads_dense,
    .settle = settle,
    .build = build,
};
const struct family family_qwen3_5_moe_text = {
    .model_type = "qwen3_5_moe_text",
    .architecture = "Qwen3_5MoeForCausalLM",
    .about = "Qwen3.5-MoE, text only",
    NEXT,
    .reads = reads_moe,
    .no_ff = 1,
    .settle = settle_moe,
    .build = build,
};

/* As published, with a tower for images, which is not run. */
#define NESTED_ENDS                                                  \
    .embed = "model.language_model.embed_tokens", .head = "lm_head", \
    .final_norm = "model.language_model.norm", .blocks = "model.language_model.layers"

static const struct family_text texts[] = {{"qwen3_5_text", &family_qwen3_5_text, NULL},
                                           {NULL, NULL, NULL}},
                                texts_moe[] = {{"qwen3_5_moe_text", &family_qwen3_5_moe_text, NULL},
                                               {NULL, NULL, NULL}};

const struct family family_qwen3_5 = {
    .model_type = "qwen3_5",
    .architecture = "Qwen3_5ForConditionalGeneration",
    .about = "Qwen3.5 dense; text without images",
    NESTED_ENDS,
    .texts = texts,
};
const struct family family_qwen3_5_moe = {
    .model_type = "qwen3_5_moe",
    .architecture = "Qwen3_5MoeForConditionalGeneration",
    .about = "Qwen3.5-MoE; text without images",
    NESTED_ENDS,
    .texts = texts_moe,
};
