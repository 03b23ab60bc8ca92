/* SPDX-License-Identifier: Apache-2.0 */
/* family_llama - Llama 2 and 3, SmolLM2, TinyStories: biases by config, no window. */
#include "family.h"
#include "program_build.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    if (json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0 ||
        json_opt_bool(c->json, "mlp_bias", 0, &c->mlp_bias, what, e) < 0)
        return -1;
    c->attention_out_bias = c->attention_bias;
    return 0;
}

static void build(const struct config *c, size_t block, struct program *p)
{
    (void)block;
    family_attention(c, p, program_norm(p, PROGRAM_STREAM, "input_layernorm", c->norm_eps),
                     c->window, 0);
    family_mlp(c, p, program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", c->norm_eps));
}

extern const struct family family_llama;
const struct family family_llama = {
    .model_type = "llama",
    .architecture = "LlamaForCausalLM",
    FAMILY_LLAMA_ENDS,
    .settle = settle,
    .build = build,
};
