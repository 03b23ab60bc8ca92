/* SPDX-License-Identifier: Apache-2.0 */
/* family_seed_oss - Seed-OSS: Llama with biases of q, k and v; those of o and of the MLP by config.
 */
#include "config_parts.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    return json_opt_bool(c->json, "attention_bias", 1, &c->attention_bias, what, e) < 0 ||
                   json_opt_bool(c->json, "attention_out_bias", 0, &c->attention_out_bias, what,
                                 e) < 0 ||
                   json_opt_bool(c->json, "mlp_bias", 0, &c->mlp_bias, what, e) < 0
               ? -1
               : 0;
}

extern const struct family family_seed_oss;
const struct family family_seed_oss = {
    .model_type = "seed_oss",
    .architecture = "SeedOssForCausalLM",
    .about = "Seed-OSS",
    FAMILY_LLAMA_ENDS,
    .head_dim = 128,
    .settle = settle,
    .build = family_block,
};
