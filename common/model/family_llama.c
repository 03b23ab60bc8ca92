/* SPDX-License-Identifier: Apache-2.0 */
/* family_llama - Llama 2 and 3, SmolLM2, TinyStories: biases by config, no window. */
#include "../tensor/gguf_folder.h"
#include "config_parts.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    if (json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0 ||
        json_opt_bool(c->json, "mlp_bias", 0, &c->mlp_bias, what, e) < 0)
        return -1;
    c->attention_out_bias = c->attention_bias;
    return 0;
}

static int gguf_config_set(struct json *c, const struct gguf_info *m, const struct gguf *g,
                           struct err *e)
{
    (void)g;
    (void)e;
    return json_set_bool(c, "attention_bias", m->attention_bias) ||
                   json_set_bool(c, "mlp_bias", m->mlp_bias)
               ? -1
               : 0;
}

static const struct gguf_arch gguf = {.model_type = "llama",
                                      .name = "llama",
                                      .class = "LlamaForCausalLM",
                                      .parts = GGUF_DENSE,
                                      .woven = 1,
                                      .biases = GGUF_ANY_BIASES,
                                      .factors = 1,
                                      .config = gguf_config_set};

extern const struct family family_llama;
const struct family family_llama = {
    .model_type = "llama",
    .architecture = "LlamaForCausalLM",
    .about = "Llama 2 and 3, SmolLM2, TinyStories",
    .served = 1,
    .gguf = &gguf,
    FAMILY_LLAMA_ENDS,
    .settle = settle,
    .build = family_block,
};
