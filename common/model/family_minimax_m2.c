/* SPDX-License-Identifier: Apache-2.0 */
/* family_minimax_m2 - MiniMax M2: experts in every block that a router of sigmoids with a
 * correction chooses; norms of q and k over all heads, and a part of each head turns. Leaves out:
 * experts for all tokens (no published model has one), and the blocks behind the last, for several
 * tokens at once, whose tensors stay as they are. */
#include <string.h>
#include "config_parts.h"
#include "family_experts.h"
#include "program_build.h"

#define MOE "block_sparse_moe."

static const struct family_experts names = {.router = MOE "gate",
                                            .correction = MOE "e_score_correction_bias",
                                            .gate = MOE "experts.%zu.w1",
                                            .up = MOE "experts.%zu.w3",
                                            .down = MOE "experts.%zu.w2"};

/* rotary_dim says it in numbers of a head. */
static int read_part(struct config *c, const char *what, struct err *e)
{
    size_t part;

    if (config_size_or(c->json, "rotary_dim", (int64_t)c->head_dim, c->rope.width, &part, what, e) <
        0)
        return -1;
    if (part % 2 != 0 || (c->rope.width != c->head_dim && part != c->rope.width))
        return err_set(e, ERR_USE, "%s: rotary_dim %zu, but %zu numbers of a head turn", what, part,
                       c->rope.width);
    c->rope.width = part;
    c->rope_window = c->rope;
    return 0;
}

/* What no published model has, and the reference does not read. */
static int other_routers(const struct config *c, const char *what, struct err *e)
{
    int64_t shared;
    int corrected;

    if (json_opt_int(c->json, "shared_intermediate_size", 0, INT64_C(1) << 24, 0, &shared, what,
                     e) < 0 ||
        json_opt_bool(c->json, "use_routing_bias", 1, &corrected, what, e) < 0)
        return -1;
    if (config_only_text(c->json, "scoring_func", "sigmoid", what, e) < 0)
        return -1;
    if (!corrected)
        return err_set(e, ERR_USE, "%s: use_routing_bias false is not supported", what);
    return shared ? err_set(e, ERR_USE, "%s: shared_intermediate_size %lld is not supported (0)",
                            what, (long long)shared)
                  : 0;
}

static int settle(struct config *c, const char *what, struct err *e)
{
    int norms;

    c->experts_normalized = 1;
    c->experts_groups = c->experts_groups_top = 1;
    c->experts_scale = 1;
    if (family_read_experts(c, 256, 8, NULL, what, e) < 0 || read_part(c, what, e) < 0 ||
        json_opt_bool(c->json, "use_qk_norm", 1, &norms, what, e) < 0)
        return -1;
    c->qk_norm = norms ? QK_NORM_ROWS : QK_NORM_NONE;
    return other_routers(c, what, e);
}

static void build(const struct config *c, size_t block, struct program *p)
{
    family_attention(c, p, block, program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm),
                     NULL);
    family_experts(c, p, program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", &c->norm),
                   &names);
}

static const char *const reads[] = {"num_local_experts", "use_qk_norm", "partial_rotary_factor",
                                    NULL};

extern const struct family family_minimax_m2;
const struct family family_minimax_m2 = {
    .model_type = "minimax_m2",
    .architecture = "MiniMaxM2ForCausalLM",
    .about = "MiniMax M2",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .head_dim = 128,
    .theta = 5000000,
    .settle = settle,
    .build = build,
};
