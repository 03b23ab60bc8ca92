/* SPDX-License-Identifier: Apache-2.0 */
/* family_qwen3 - Qwen3 dense: heads of q and k are normed before rope. */
#include "../tensor/gguf_folder.h"
#include "config_parts.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    c->qk_norm = QK_NORM_HEADS;
    if (json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0)
        return -1;
    c->attention_out_bias = c->attention_bias;
    return config_windows_from(c, what, e);
}

static int gguf_config_set(struct json *c, const struct gguf_info *m, const struct gguf *g,
                           struct err *e)
{
    (void)g;
    (void)e;
    return json_set_bool(c, "attention_bias", m->attention_bias) || gguf_config_no_windows(c, m)
               ? -1
               : 0;
}

static const struct gguf_arch gguf = {.model_type = "qwen3",
                                      .name = "qwen3",
                                      .class = "Qwen3ForCausalLM",
                                      .parts = GGUF_DENSE,
                                      .biases = GGUF_ATTENTION_BIASES,
                                      .qk_norm = 1,
                                      .config = gguf_config_set};

extern const struct family family_qwen3;
const struct family family_qwen3 = {
    .model_type = "qwen3",
    .architecture = "Qwen3ForCausalLM",
    .about = "Qwen3 dense",
    .gguf = &gguf,
    .served = 1,
    FAMILY_LLAMA_ENDS,
    .settle = settle,
    .build = family_block,
};
