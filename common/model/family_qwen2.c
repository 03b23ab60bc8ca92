/* SPDX-License-Identifier: Apache-2.0 */
/* family_qwen2 - Qwen2 and 2.5 dense: q, k and v have biases, o has none. */
#include "../tensor/gguf_folder.h"
#include "config_parts.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    c->attention_bias = 1;
    return config_windows_from(c, what, e);
}

static int gguf_config_set(struct json *c, const struct gguf_info *m, const struct gguf *g,
                           struct err *e)
{
    (void)g;
    (void)e;
    return gguf_config_no_windows(c, m);
}

static const struct gguf_arch gguf = {.model_type = "qwen2",
                                      .name = "qwen2",
                                      .class = "Qwen2ForCausalLM",
                                      .parts = GGUF_DENSE,
                                      .biases = GGUF_QKV_BIASES,
                                      .config = gguf_config_set};

extern const struct family family_qwen2;
const struct family family_qwen2 = {
    .model_type = "qwen2",
    .architecture = "Qwen2ForCausalLM",
    .about = "Qwen2, Qwen2.5, DeepSeek-R1-Distill-Qwen dense",
    .gguf = &gguf,
    FAMILY_LLAMA_ENDS,
    .settle = settle,
    .build = family_block,
};
