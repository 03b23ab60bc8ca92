/* SPDX-License-Identifier: Apache-2.0 */
/* family_mistral - Mistral 7B and its kin: Llama without biases, with one attention window for
 * all blocks. */
#include "../tensor/gguf_folder.h"
#include "config_parts.h"

/* The reference takes 4096 when the key is absent, none when it is null. */
static int settle(struct config *c, const char *what, struct err *e)
{
    int64_t window;

    return config_window_key(c, 4096, &window, what, e) < 0 ? -1
                                                            : config_windows(c, window, 0, what, e);
}

static int gguf_config_set(struct json *c, const struct gguf_info *m, const struct gguf *g,
                           struct err *e)
{
    (void)g;
    (void)e;
    return gguf_config_window(c, m);
}

static const struct gguf_arch gguf = {.model_type = "mistral",
                                      .name = "llama",
                                      .class = "MistralForCausalLM",
                                      .parts = GGUF_DENSE,
                                      .woven = 1,
                                      .factors = 1,
                                      .windows = GGUF_ALL_WINDOWS,
                                      .config = gguf_config_set};

extern const struct family family_mistral;
const struct family family_mistral = {
    .model_type = "mistral",
    .architecture = "MistralForCausalLM",
    .about = "Mistral 7B, Mistral Nemo and Small (text)",
    .gguf = &gguf,
    FAMILY_LLAMA_ENDS,
    .settle = settle,
    .build = family_block,
};
