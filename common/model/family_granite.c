/* SPDX-License-Identifier: Apache-2.0 */
/* family_granite - Granite 3 dense: Llama with four multipliers. */
#include "config_parts.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    double divisor;

    if (json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0 ||
        json_opt_bool(c->json, "mlp_bias", 0, &c->mlp_bias, what, e) < 0 ||
        config_positive_or(c->json, "embedding_multiplier", 1, &c->embed_scale, what, e) < 0 ||
        config_positive_or(c->json, "attention_multiplier", 1, &c->attention_scale, what, e) < 0 ||
        config_positive_or(c->json, "residual_multiplier", 1, &c->residual_scale, what, e) < 0 ||
        config_positive_or(c->json, "logits_scaling", 1, &divisor, what, e) < 0)
        return -1;
    c->logit_scale = 1 / divisor;
    c->attention_out_bias = c->attention_bias;
    return 0;
}

static const char *const reads[] = {"embedding_multiplier", "attention_multiplier",
                                    "residual_multiplier", "logits_scaling", NULL};

extern const struct family family_granite;
const struct family family_granite = {
    .model_type = "granite",
    .architecture = "GraniteForCausalLM",
    .about = "Granite 3 dense",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .settle = settle,
    .build = family_block,
};
