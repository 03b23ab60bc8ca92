/* SPDX-License-Identifier: Apache-2.0 */
/* family_olmo2 - OLMo 2 and 3: norms stand behind the sublayers, not before them; those of q and
 * k go over all heads together. OLMo 3 has windows in three blocks of four, and rope that is
 * scaled in the others only. */
#include "config_parts.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    c->qk_norm = QK_NORM_ROWS;
    if (json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0)
        return -1;
    c->attention_out_bias = c->attention_bias;
    return 0;
}

static int settle3(struct config *c, const char *what, struct err *e)
{
    int64_t window;

    return settle(c, what, e) < 0 || config_window_key(c, 4096, &window, what, e) < 0
               ? -1
               : config_windows(c, window, 4, what, e);
}

extern const struct family family_olmo2, family_olmo3;
const struct family family_olmo2 = {
    .model_type = "olmo2",
    .architecture = "Olmo2ForCausalLM",
    .about = "OLMo 2; no rotation",
    FAMILY_LLAMA_ENDS,
    .eps = 1e-5,
    .settle = settle,
    .build = family_block_behind,
};
const struct family family_olmo3 = {
    .model_type = "olmo3",
    .architecture = "Olmo3ForCausalLM",
    .about = "OLMo 3; no rotation",
    FAMILY_LLAMA_ENDS,
    .eps = 1e-5,
    .two_ropes = 1,
    .theta = 500000,
    .settle = settle3,
    .build = family_block_behind,
};
