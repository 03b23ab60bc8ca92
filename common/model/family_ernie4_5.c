/* SPDX-License-Identifier: Apache-2.0 */
/* family_ernie4_5 - ERNIE 4.5, dense: Llama whose neighbours turn together, with biases everywhere
 * or nowhere. */
#include "config_parts.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    if (json_opt_bool(c->json, "use_bias", 0, &c->attention_bias, what, e) < 0)
        return -1;
    c->attention_out_bias = c->mlp_bias = c->attention_bias;
    return 0;
}

extern const struct family family_ernie4_5;
const struct family family_ernie4_5 = {
    .model_type = "ernie4_5",
    .architecture = "Ernie4_5ForCausalLM",
    .about = "ERNIE 4.5 (dense)",
    FAMILY_LLAMA_ENDS,
    .head_dim = 128,
    .theta = 500000,
    .eps = 1e-5,
    .tied = 1,
    .rope_pairs = 1,
    .settle = settle,
    .build = family_block,
};
