/* SPDX-License-Identifier: Apache-2.0 */
/* family_phi3 - Phi-3, Phi-3.5 mini, Phi-4: q, k and v are one linear, gate and up are one; they
 * stay what they are. The first part of a head may be all that turns. */
#include "config_parts.h"
#include "program_build.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    int64_t window;

    return config_window_key(c, 0, &window, what, e) < 0 ? -1
                                                         : config_windows(c, window, 0, what, e);
}

static void attention(const struct config *c, struct program *p, size_t block, int x)
{
    const size_t nq = c->heads * c->head_dim, nk = c->kv_heads * c->head_dim;
    const int all =
        program_linear(p, x,
                       &(struct program_linear){
                           .name = "self_attn.qkv_proj", .rows = nq + 2 * nk, .site = "attn.qkv"});
    int part[3];

    for (size_t i = 0; i < 3; i++)
        part[i] = program_cut(p, all, i ? nq + (i - 1) * nk : 0, i ? nk : nq);
    family_join(
        c, p, family_attend(c, p, block, part),
        &(struct program_linear){.name = "self_attn.o_proj", .rows = c->d, .site = "attn.o"}, 0,
        NULL);
}

static void build(const struct config *c, size_t block, struct program *p)
{
    attention(c, p, block, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm));
    family_mlp_fused(c, p, program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm),
                     NULL);
}

static const char *const reads[] = {"partial_rotary_factor", NULL};

extern const struct family family_phi3;
const struct family family_phi3 = {
    .model_type = "phi3",
    .architecture = "Phi3ForCausalLM",
    .about = "Phi-3, Phi-3.5 mini, Phi-4 and mini",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .eps = 1e-5,
    .settle = settle,
    .build = build,
};
