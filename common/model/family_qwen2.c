/* SPDX-License-Identifier: Apache-2.0 */
/* family_qwen2 - Qwen2 and 2.5 dense: q, k and v have biases, o has none. */
#include "config_parts.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    c->attention_bias = 1;
    return config_windows_from(c, what, e);
}

extern const struct family family_qwen2;
const struct family family_qwen2 = {
    .model_type = "qwen2",
    .architecture = "Qwen2ForCausalLM",
    .about = "Qwen2, Qwen2.5, DeepSeek-R1-Distill-Qwen dense",
    FAMILY_LLAMA_ENDS,
    .settle = settle,
    .build = family_block,
};
