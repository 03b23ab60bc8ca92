/* SPDX-License-Identifier: Apache-2.0 */
/* family_glm4 - GLM-4: gate and up are one linear, half of each head turns, neighbours together.
 * The models of April 2025 norm what joins the stream too. */
#include "config_parts.h"
#include "program_build.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    return json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e);
}

static void build(const struct config *c, size_t block, struct program *p)
{
    family_attention(c, p, block, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm),
                     NULL);
    family_mlp_fused(c, p, program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm),
                     NULL);
}

static void build4(const struct config *c, size_t block, struct program *p)
{
    family_attention(c, p, block, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm),
                     "post_self_attn_layernorm");
    family_mlp_fused(c, p, program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm),
                     "post_mlp_layernorm");
}

static const char *const reads[] = {"partial_rotary_factor", NULL};

#define GLM                                                                               \
    FAMILY_LLAMA_ENDS, .reads = reads, .head_dim = 128, .eps = 1.5625e-7, .partial = 0.5, \
                       .rope_pairs = 1, .settle = settle

extern const struct family family_glm, family_glm4;
const struct family family_glm = {
    .model_type = "glm",
    .architecture = "GlmForCausalLM",
    .about = "GLM-4 9B as GlmForCausalLM (glm-4-9b-chat-hf, GLM-Edge)",
    GLM,
    .build = build,
};
const struct family family_glm4 = {
    .model_type = "glm4",
    .architecture = "Glm4ForCausalLM",
    .about = "GLM-4 9B and 32B of 0414, GLM-Z1; no rotation",
    GLM,
    .build = build4,
};
