/* SPDX-License-Identifier: Apache-2.0 */
/* family_qwen_moe - Qwen1.5-MoE, Qwen2-MoE and Qwen3-MoE: experts in most blocks, an MLP in the
 * others. Qwen2 has biases and one expert for all tokens beside those that a router chooses;
 * Qwen3 norms the heads of q and k. */
#include "../tensor/gguf_folder.h"
#include "config_parts.h"
#include "family_experts.h"
#include "program_build.h"

#define SHARED "mlp.shared_expert."

static const struct family_experts qwen3 = {.router = "mlp.gate",
                                            .gate = "mlp.experts.%zu.gate_proj",
                                            .up = "mlp.experts.%zu.up_proj",
                                            .down = "mlp.experts.%zu.down_proj"},
                                   qwen2 = {.router = "mlp.gate",
                                            .gate = "mlp.experts.%zu.gate_proj",
                                            .up = "mlp.experts.%zu.up_proj",
                                            .down = "mlp.experts.%zu.down_proj",
                                            .shared_gate = SHARED "gate_proj",
                                            .shared_up = SHARED "up_proj",
                                            .shared_down = SHARED "down_proj",
                                            .share = "mlp.shared_expert_gate"};

static int settle(struct config *c, size_t count, size_t top, const char *what, struct err *e)
{
    return family_read_experts(c, count, top, "moe_intermediate_size", what, e) < 0 ||
                   json_opt_bool(c->json, "norm_topk_prob", 0, &c->experts_normalized, what, e) <
                       0 ||
                   family_read_dense(c, what, e) < 0
               ? -1
               : 0;
}

/* The reference's own pattern of windows was never published with a model: layer_types must say
 * where they are. */
static int settle2(struct config *c, const char *what, struct err *e)
{
    int sliding;

    if (settle(c, 60, 4, what, e) < 0 ||
        json_opt_bool(c->json, "qkv_bias", 1, &c->attention_bias, what, e) < 0 ||
        json_opt_bool(c->json, "use_sliding_window", 0, &sliding, what, e) < 0 ||
        config_size(c->json, "shared_expert_intermediate_size", INT64_C(1) << 24, &c->shared_ff,
                    what, e) < 0)
        return -1;
    if (sliding && !json_has(c->json, "layer_types"))
        return err_set(e, ERR_USE, "%s: use_sliding_window without layer_types is not supported",
                       what);
    return config_windows_from(c, what, e);
}

static int settle3(struct config *c, const char *what, struct err *e)
{
    int64_t window;
    int sliding;

    c->qk_norm = QK_NORM_HEADS;
    if (settle(c, 128, 8, what, e) < 0 ||
        json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0 ||
        json_opt_bool(c->json, "use_sliding_window", 0, &sliding, what, e) < 0 ||
        config_window_key(c, 4096, &window, what, e) < 0)
        return -1;
    c->attention_out_bias = c->attention_bias;
    return config_windows(c, sliding ? window : 0, 0, what, e);
}

static void build(const struct config *c, size_t block, struct program *p,
                  const struct family_experts *names)
{
    int x;

    family_attention(c, p, block, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm),
                     NULL);
    x = program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm);
    if (c->block[block] & BLOCK_EXPERTS)
        family_experts(c, p, x, names);
    else
        family_mlp(c, p, x, NULL);
}

static void build2(const struct config *c, size_t block, struct program *p)
{
    build(c, block, p, &qwen2);
}

static void build3(const struct config *c, size_t block, struct program *p)
{
    build(c, block, p, &qwen3);
}

static const char *const reads[] = {"num_experts", "num_local_experts", NULL},
                         *const reads2[] = {"num_experts", "num_local_experts",
                                            "shared_expert_intermediate_size", NULL};

static const struct gguf_name gguf_own[] = {
    {"ffn_gate_inp.weight", "mlp.gate.weight", GGUF_SIZE_EXPERTS, GGUF_SIZE_D, GGUF_ALWAYS, 0, 0},
    {"ffn_gate_exps.weight", "mlp.experts.*.gate_proj.weight", GGUF_SIZE_EXPERT_FF, GGUF_SIZE_D,
     GGUF_ALWAYS, 0, 0},
    {"ffn_up_exps.weight", "mlp.experts.*.up_proj.weight", GGUF_SIZE_EXPERT_FF, GGUF_SIZE_D,
     GGUF_ALWAYS, 0, 0},
    {"ffn_down_exps.weight", "mlp.experts.*.down_proj.weight", GGUF_SIZE_D, GGUF_SIZE_EXPERT_FF,
     GGUF_ALWAYS, 0, 0},
    {0}};

static int gguf_config_set(struct json *c, const struct gguf_info *m, const struct gguf *g,
                           struct err *e)
{
    (void)g;
    (void)e;
    return json_set_int(c, "num_experts_per_tok", m->top) ||
                   json_set_int(c, "num_experts", m->experts) ||
                   json_set_int(c, "moe_intermediate_size", m->expert_ff) ||
                   json_set_bool(c, "norm_topk_prob", 1) ||
                   json_set_int(c, "decoder_sparse_step", 1) ||
                   json_set(c, "mlp_only_layers", json_new_array()) ||
                   json_set_bool(c, "attention_bias", m->attention_bias) ||
                   gguf_config_no_windows(c, m)
               ? -1
               : 0;
}

static const struct gguf_arch gguf = {.model_type = "qwen3_moe",
                                      .name = "qwen3moe",
                                      .class = "Qwen3MoeForCausalLM",
                                      .parts = GGUF_QKV | GGUF_NORM_BEFORE,
                                      .own = gguf_own,
                                      .biases = GGUF_ATTENTION_BIASES,
                                      .qk_norm = 1,
                                      .experts = 1,
                                      .config = gguf_config_set};

extern const struct family family_qwen2_moe, family_qwen3_moe;
const struct family family_qwen2_moe = {
    .model_type = "qwen2_moe",
    .architecture = "Qwen2MoeForCausalLM",
    .about = "Qwen1.5-MoE, Qwen2-MoE",
    FAMILY_LLAMA_ENDS,
    .reads = reads2,
    .settle = settle2,
    .build = build2,
};
const struct family family_qwen3_moe = {
    .model_type = "qwen3_moe",
    .architecture = "Qwen3MoeForCausalLM",
    .about = "Qwen3-MoE (30B-A3B, 235B-A22B)",
    .gguf = &gguf,
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .settle = settle3,
    .build = build3,
};
