/* SPDX-License-Identifier: Apache-2.0 */
/* family_mixtral - Mixtral: Mistral with experts in every block, of which each token's two best
 * share its weight. */
#include "config_parts.h"
#include "family_experts.h"
#include "program_build.h"

#define MOE "block_sparse_moe."

static const struct family_experts names = {.router = MOE "gate",
                                            .gate = MOE "experts.%zu.w1",
                                            .up = MOE "experts.%zu.w3",
                                            .down = MOE "experts.%zu.w2"};

static int settle(struct config *c, const char *what, struct err *e)
{
    int64_t window;

    c->experts_normalized = 1;
    return family_read_experts(c, 8, 2, NULL, what, e) < 0 ||
                   config_window_key(c, 0, &window, what, e) < 0
               ? -1
               : config_windows(c, window, 0, what, e);
}

static void build(const struct config *c, size_t block, struct program *p)
{
    family_attention(c, p, block, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm),
                     NULL);
    family_experts(c, p, program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm),
                   &names);
}

static const char *const reads[] = {"num_local_experts", NULL};

extern const struct family family_mixtral;
const struct family family_mixtral = {
    .model_type = "mixtral",
    .architecture = "MixtralForCausalLM",
    .about = "Mixtral 8x7B and 8x22B",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .eps = 1e-5,
    .theta = 1000000,
    .settle = settle,
    .build = build,
};
