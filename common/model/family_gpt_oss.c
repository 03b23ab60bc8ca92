/* SPDX-License-Identifier: Apache-2.0 */
/* family_gpt_oss - gpt-oss 20B and 120B: each head has a score of its own in the softmax, windows
 * in every other block, experts whose gates and ups stand by turns, clamped. The files hold the
 * matrices of all experts in one tensor, turned (as published in MXFP4: safetensors_mxfp4.h); those
 * of single experts are called as GPTQModel does it. */
#include <stdio.h>
#include "config_parts.h"
#include "family_experts.h"
#include "program_build.h"

#define EXPERTS "mlp.experts."

static int settle(struct config *c, const char *what, struct err *e)
{
    int64_t window;

    if (!json_has(c->json, "rope_scaling") && !json_has(c->json, "rope_parameters"))
        return err_set(e, ERR_USE, "%s: rope_scaling and rope_parameters are missing", what);
    if (family_read_experts(c, 32, 4, NULL, what, e) < 0 ||
        json_opt_bool(c->json, "attention_bias", 1, &c->attention_bias, what, e) < 0 ||
        config_positive_or(c->json, "swiglu_alpha", 1.702, &c->swiglu_alpha, what, e) < 0 ||
        config_positive_or(c->json, "swiglu_limit", 7, &c->swiglu_limit, what, e) < 0 ||
        config_window_key(c, 128, &window, what, e) < 0)
        return -1;
    c->attention_out_bias = c->attention_bias;
    return config_windows(c, window, 2, what, e);
}

/* One linear of each expert; its biases go over the rows together. */
static void experts(const struct config *c, struct program *p, int in, int to, size_t rows,
                    const char *site, const char *name, const char *whole, const char *bias)
{
    char full[64];

    for (size_t i = 0; i < c->experts; i++) {
        snprintf(full, sizeof full, EXPERTS "%s.%zu", name, i);
        program_linear_expert(p, in, to, i,
                              &(struct program_linear){.name = full,
                                                       .rows = rows,
                                                       .site = site,
                                                       .whole = whole,
                                                       .total = rows,
                                                       .stacked = c->experts,
                                                       .which = i,
                                                       .turned = 1});
    }
    for (size_t i = 0; i < c->experts; i++)
        program_bias_expert(p, to, i, bias);
}

static void sublayer(const struct config *c, struct program *p, int x)
{
    const int logits =
        program_linear(p, x, &(struct program_linear){.name = "mlp.router", .rows = c->experts});
    int route, both, gated, down;

    program_bias(p, logits, 1);
    /* softmax over the chosen ones is that over all of them, scaled to sum 1 */
    route = program_route(p, logits, c->experts_top, 1);
    both = program_slot(p, 2 * c->expert_ff, route);
    experts(c, p, program_gather(p, x, route), both, 2 * c->expert_ff, "expert.%zu.up", "gate_up",
            EXPERTS "gate_up_proj", EXPERTS "gate_up_proj_bias");
    gated = program_swiglu(p, both, c->swiglu_alpha, c->swiglu_limit);
    down = program_slot(p, c->d, route);
    experts(c, p, gated, down, c->d, "expert.%zu.down", "down", EXPERTS "down_proj",
            EXPERTS "down_proj_bias");
    program_scatter(p, down, route, PROGRAM_STREAM);
}

static void build(const struct config *c, size_t block, struct program *p)
{
    family_attention(c, p, block, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm),
                     NULL);
    sublayer(c, p, program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm));
}

static const char *const reads[] = {"num_local_experts", NULL};

extern const struct family family_gpt_oss;
const struct family family_gpt_oss = {
    .model_type = "gpt_oss",
    .architecture = "GptOssForCausalLM",
    .about = "gpt-oss, in MXFP4 as it is published or in bf16",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .head_dim = 64,
    .theta = 150000,
    .eps = 1e-5,
    .sinks = "self_attn.sinks",
    .settle = settle,
    .build = build,
};
