/* SPDX-License-Identifier: Apache-2.0 */
/* family_arcee - Arcee's AFM: Llama whose MLP has no gate, but the square of a relu. */
#include "config_parts.h"
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
    int x = program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm);

    family_attention(c, p, block, x, NULL);
    x = program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm);
    x = program_linear(
        p, x, &(struct program_linear){.name = "mlp.up_proj", .rows = c->ff, .site = "mlp.up"});
    program_bias(p, x, c->mlp_bias);
    program_activate(p, x, c->activation);
    family_join(c, p, x,
                &(struct program_linear){.name = "mlp.down_proj", .rows = c->d, .site = "mlp.down"},
                c->mlp_bias, NULL);
}

extern const struct family family_arcee;
const struct family family_arcee = {
    .model_type = "arcee",
    .architecture = "ArceeForCausalLM",
    .about = "Arcee AFM 4.5B",
    FAMILY_LLAMA_ENDS,
    .eps = 1e-5,
    .activation = ACTIVATION_RELU2,
    .settle = settle,
    .build = build,
};
