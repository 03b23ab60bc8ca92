/* SPDX-License-Identifier: Apache-2.0 */
/* family_glm4_moe - GLM-4.5 and 4.6: the first blocks dense, in the others experts that a router
 * of sigmoids with a correction chooses, and shared ones beside them; a part of each head turns.
 * Blocks behind the last one (for several tokens at once) stay as they are, and out of the way. */
#include "config_parts.h"
#include "family_experts.h"
#include "program_build.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    const struct family_choice defaults = {.experts = 128, .groups = 1, .scale = 1, .dense = 1};
    int norms;

    if (family_read_choice(c, &defaults, what, e) < 0 ||
        json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0 ||
        json_opt_bool(c->json, "use_qk_norm", 0, &norms, what, e) < 0)
        return -1;
    c->qk_norm = norms ? QK_NORM_HEADS : QK_NORM_NONE;
    return 0;
}

static void build(const struct config *c, size_t block, struct program *p)
{
    int x;

    family_attention(c, p, block, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm),
                     NULL);
    x = program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm);
    if (c->block[block] & BLOCK_EXPERTS)
        family_experts(c, p, x, &family_experts_chosen);
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
