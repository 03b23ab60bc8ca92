/* SPDX-License-Identifier: Apache-2.0 */
/* family_mixtral - Mixtral: Mistral with experts in every block, of which each token's two best
 * share its weight. */
#include "../tensor/gguf_folder.h"
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

static const struct gguf_name gguf_own[] = {
    {"ffn_gate_inp.weight", MOE "gate.weight", GGUF_SIZE_EXPERTS, GGUF_SIZE_D, GGUF_ALWAYS, 0, 0},
    {"ffn_gate_exps.weight", MOE "experts.*.w1.weight", GGUF_SIZE_EXPERT_FF, GGUF_SIZE_D,
     GGUF_ALWAYS, 0, 0},
    {"ffn_up_exps.weight", MOE "experts.*.w3.weight", GGUF_SIZE_EXPERT_FF, GGUF_SIZE_D, GGUF_ALWAYS,
     0, 0},
    {"ffn_down_exps.weight", MOE "experts.*.w2.weight", GGUF_SIZE_D, GGUF_SIZE_EXPERT_FF,
     GGUF_ALWAYS, 0, 0},
    {0}};

static int gguf_config_set(struct json *c, const struct gguf_info *m, const struct gguf *g,
                           struct err *e)
{
    (void)g;
    (void)e;
    return json_set_int(c, "num_experts_per_tok", m->top) ||
                   json_set_int(c, "num_local_experts", m->experts) ||
                   json_set_int(c, "intermediate_size", m->expert_ff) || gguf_config_window(c, m)
               ? -1
               : 0;
}

static const struct gguf_arch gguf = {.model_type = "mixtral",
                                      .name = "llama",
                                      .class = "MixtralForCausalLM",
                                      .parts = GGUF_QKV | GGUF_NORM_BEFORE,
                                      .own = gguf_own,
                                      .woven = 1,
                                      .factors = 1,
                                      .windows = GGUF_ALL_WINDOWS,
                                      .experts = 1,
                                      .config = gguf_config_set};

extern const struct family family_mixtral;
const struct family family_mixtral = {
    .model_type = "mixtral",
    .architecture = "MixtralForCausalLM",
    .about = "Mixtral 8x7B and 8x22B",
    .gguf = &gguf,
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .eps = 1e-5,
    .theta = 1000000,
    .settle = settle,
    .build = build,
};
