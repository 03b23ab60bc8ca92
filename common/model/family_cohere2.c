/* SPDX-License-Identifier: Apache-2.0 */
/* family_cohere2 - Command R7B, Command A: attention and MLP side by side behind one layer norm;
 * blocks without a window have no rope either. */
#include "config_parts.h"
#include "program_build.h"

static int settle(struct config *c, const char *what, struct err *e)
{
    int64_t window, pattern;

    if (json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0 ||
        config_positive_or(c->json, "layer_norm_eps", 1e-5, &c->norm.eps, what, e) < 0 ||
        config_positive_or(c->json, "logit_scale", 0.0625, &c->logit_scale, what, e) < 0 ||
        json_opt_int(c->json, "sliding_window_pattern", 1, 65536, 4, &pattern, what, e) < 0 ||
        config_window_key(c, 4096, &window, what, e) < 0 ||
        config_windows(c, window, (size_t)pattern, what, e) < 0)
        return -1;
    if (!window)
        return err_set(e, ERR_USE, "%s: sliding_window must be a number for %s", what,
                       c->model_type);
    c->attention_out_bias = c->attention_bias;
    for (size_t i = 0; i < c->layers; i++)
        if (!(c->block[i] & BLOCK_WINDOW))
            c->block[i] |= BLOCK_NO_ROPE;
    return 0;
}

static void build(const struct config *c, size_t block, struct program *p)
{
    const int x = program_norm(p, PROGRAM_STREAM, "input_layernorm", &c->norm);
    /* The same rows, but engines fuse q, k and v apart from gate and up: a site of their own. */
    const int y = program_cut(p, x, 0, c->d);

    family_attention(c, p, block, x, NULL);
    family_mlp(c, p, y, NULL);
}

static const char *const reads[] = {"logit_scale", "sliding_window_pattern", NULL};

extern const struct family family_cohere2;
const struct family family_cohere2 = {
    .model_type = "cohere2",
    .architecture = "Cohere2ForCausalLM",
    .about = "Command R7B, Command A (text); no rotation",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .tied = 1,
    .rope_pairs = 1,
    .norm = NORM_MEAN,
    .settle = settle,
    .build = build,
};
