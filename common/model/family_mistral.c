/* SPDX-License-Identifier: Apache-2.0 */
/* family_mistral - Mistral 7B and its kin: Llama without biases, with one attention window for
 * all blocks. */
#include "config_parts.h"

/* The reference takes 4096 when the key is absent, none when it is null. */
static int settle(struct config *c, const char *what, struct err *e)
{
    int64_t window;

    return config_window_key(c, 4096, &window, what, e) < 0 ? -1
                                                            : config_windows(c, window, 0, what, e);
}

extern const struct family family_mistral;
const struct family family_mistral = {
    .model_type = "mistral",
    .architecture = "MistralForCausalLM",
    .about = "Mistral 7B, Mistral Nemo and Small (text)",
    FAMILY_LLAMA_ENDS,
    .settle = settle,
    .build = family_block,
};
