/* SPDX-License-Identifier: Apache-2.0 */
/* family_qwen3 - Qwen3 dense: heads of q and k are normed before rope. Windows only when all
 * blocks have the same. */
#include "family.h"
#include "program_build.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    int sliding;
    int64_t window, from;

    c->qk_norm = 1;
    if (json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0 ||
        json_opt_bool(c->json, "use_sliding_window", 0, &sliding, what, e) < 0)
        return -1;
    c->attention_out_bias = c->attention_bias;
    if (!sliding)
        return 0;
    if (json_need_int(c->json, "sliding_window", 1, INT64_C(1) << 40, &window, what, e) < 0 ||
        json_opt_int(c->json, "max_window_layers", 0, INT64_C(1) << 40, 28, &from, what, e) < 0)
        return -1;
    /* Blocks from max_window_layers on have the window, the others see everything. */
    if (from > 0 && (uint64_t)from < c->layers)
        return err_set(e, ERR_USE,
                       "%s: max_window_layers %lld: windows in some blocks only are not supported",
                       what, (long long)from);
    if (from == 0)
        c->window = (size_t)window;
    return 0;
}

static void build(const struct config *c, size_t block, struct program *p)
{
    (void)block;
    family_attention(c, p, program_norm(p, PROGRAM_STREAM, "input_layernorm", c->norm_eps),
                     c->window, c->qk_norm);
    family_mlp(c, p, program_norm(p, PROGRAM_STREAM, "post_attention_layernorm", c->norm_eps));
}

extern const struct family family_qwen3;
const struct family family_qwen3 = {
    .model_type = "qwen3",
    .architecture = "Qwen3ForCausalLM",
    FAMILY_LLAMA_ENDS,
    .settle = settle,
    .build = build,
};
