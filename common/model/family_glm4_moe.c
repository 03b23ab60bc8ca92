/* SPDX-License-Identifier: Apache-2.0 */
/* family_glm4_moe - GLM-4.5 and 4.6: the first blocks dense, in the others experts that a router
 * of sigmoids with a correction chooses, and shared ones beside them; a part of each head turns.
 * Blocks behind the last one (for several tokens at once) stay as they are, and out of the way. */
#include "config_parts.h"
#include "family_experts.h"
#include "op.h"
#include "program_build.h"

#define SHARED "mlp.shared_experts."

static const struct family_experts names = {.router = "mlp.gate",
                                            .correction = "mlp.gate.e_score_correction_bias",
                                            .gate = "mlp.experts.%zu.gate_proj",
                                            .up = "mlp.experts.%zu.up_proj",
                                            .down = "mlp.experts.%zu.down_proj",
                                            .shared_gate = SHARED "gate_proj",
                                            .shared_up = SHARED "up_proj",
                                            .shared_down = SHARED "down_proj"};

static int read_router(struct config *c, const char *what, struct err *e)
{
    const struct json *j = c->json;

    if (config_size_or(j, "n_routed_experts", OP_EXPERTS, 128, &c->experts, what, e) < 0 ||
        config_size_or(j, "num_experts_per_tok", OP_EXPERTS, 8, &c->experts_top, what, e) < 0 ||
        config_size_or(j, "n_group", OP_EXPERTS, 1, &c->experts_groups, what, e) < 0 ||
        config_size_or(j, "topk_group", OP_EXPERTS, 1, &c->experts_groups_top, what, e) < 0 ||
        config_positive_or(j, "routed_scaling_factor", 1, &c->experts_scale, what, e) < 0 ||
        json_opt_bool(j, "norm_topk_prob", 1, &c->experts_normalized, what, e) < 0)
        return -1;
    if (c->experts % c->experts_groups != 0 || c->experts_groups_top > c->experts_groups ||
        c->experts_top > c->experts / c->experts_groups * c->experts_groups_top)
        return err_set(
            e, ERR_USE,
            "%s: num_experts_per_tok %zu of n_routed_experts %zu, of the best topk_group "
            "%zu of n_group %zu",
            what, c->experts_top, c->experts, c->experts_groups_top, c->experts_groups);
    return 0;
}

static int settle(struct config *c, const char *what, struct err *e)
{
    int64_t dense, shared, behind;
    int norms;

    if (read_router(c, what, e) < 0 ||
        config_size(c->json, "moe_intermediate_size", INT64_C(1) << 24, &c->expert_ff, what, e) <
            0 ||
        json_opt_int(c->json, "n_shared_experts", 0, 64, 1, &shared, what, e) < 0 ||
        json_opt_int(c->json, "num_nextn_predict_layers", 0, 64, 1, &behind, what, e) < 0 ||
        json_opt_int(c->json, "first_k_dense_replace", 0, 65536, 1, &dense, what, e) < 0 ||
        json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0 ||
        json_opt_bool(c->json, "use_qk_norm", 0, &norms, what, e) < 0)
        return -1;
    c->blocks_behind = (size_t)behind;
    c->shared_ff = (size_t)shared * c->expert_ff;
    c->qk_norm = norms ? QK_NORM_HEADS : QK_NORM_NONE;
    for (size_t i = (size_t)dense; i < c->layers; i++)
        c->block[i] |= BLOCK_EXPERTS;
    return 0;
}

static void build(const struct config *c, size_t block, struct program *p)
{
    int x;

    family_attention(c, p, block, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm),
                     NULL);
    x = program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm);
    if (c->block[block] & BLOCK_EXPERTS)
        family_experts(c, p, x, &names);
    else
        family_mlp(c, p, x, NULL);
}

static const char *const reads[] = {"n_routed_experts", "use_qk_norm", "partial_rotary_factor",
                                    NULL};

extern const struct family family_glm4_moe;
const struct family family_glm4_moe = {
    .model_type = "glm4_moe",
    .architecture = "Glm4MoeForCausalLM",
    .about = "GLM-4.5, 4.6; no rotation of files with blocks behind the last",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .eps = 1e-5,
    .settle = settle,
    .build = build,
};
