/* SPDX-License-Identifier: Apache-2.0 */
/* family_mistral - Mistral 7B and its kin: Llama without biases, with one attention window for
 * all blocks. */
#include "family.h"
#include "program_build.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    int64_t window;

    /* The reference takes 4096 when the key is absent, none when it is null. */
    if (json_get(c->json, "sliding_window") &&
        json_kind(json_get(c->json, "sliding_window")) == JSON_KIND_NULL)
        window = 0;
    else if (json_opt_int(c->json, "sliding_window", 1, INT64_C(1) << 40, 4096, &window, what, e) !=
             0)
        return -1;
    c->window = (size_t)window;
    return 0;
}

static void build(const struct config *c, size_t block, struct program *p)
{
    (void)block;
    family_attention(c, p, program_norm(p, PROGRAM_STREAM, "input_layernorm", c->norm_eps),
                     c->window, 0);
    family_mlp(c, p, program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", c->norm_eps));
}

extern const struct family family_mistral;
const struct family family_mistral = {
    .model_type = "mistral",
    .architecture = "MistralForCausalLM",
    FAMILY_LLAMA_ENDS,
    .settle = settle,
    .build = build,
};
