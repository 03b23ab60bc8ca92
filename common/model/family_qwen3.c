/* SPDX-License-Identifier: Apache-2.0 */
/* family_qwen3 - Qwen3 dense: heads of q and k are normed before rope. */
#include "config_parts.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    c->qk_norm = QK_NORM_HEADS;
    if (json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0)
        return -1;
    c->attention_out_bias = c->attention_bias;
    return config_windows_from(c, what, e);
}

extern const struct family family_qwen3;
const struct family family_qwen3 = {
    .model_type = "qwen3",
    .architecture = "Qwen3ForCausalLM",
    .about = "Qwen3 dense",
    .served = 1,
    FAMILY_LLAMA_ENDS,
    .settle = settle,
    .build = family_block,
};
