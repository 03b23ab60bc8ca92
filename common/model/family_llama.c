/* SPDX-License-Identifier: Apache-2.0 */
/* family_llama - Llama 2 and 3, SmolLM2, TinyStories: biases by config, no window. */
#include "config_parts.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    if (json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0 ||
        json_opt_bool(c->json, "mlp_bias", 0, &c->mlp_bias, what, e) < 0)
        return -1;
    c->attention_out_bias = c->attention_bias;
    return 0;
}

extern const struct family family_llama;
const struct family family_llama = {
    .model_type = "llama",
    .architecture = "LlamaForCausalLM",
    .about = "Llama 2 and 3, SmolLM2, TinyStories",
    FAMILY_LLAMA_ENDS,
    .settle = settle,
    .build = family_block,
};
