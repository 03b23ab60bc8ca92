/* SPDX-License-Identifier: Apache-2.0 */
/* family_smollm3 - SmolLM3: Llama with blocks without rope, each fourth one where config.json
 * does not list them. */
#include "config_parts.h"

/* 1: the block has rope. */
static int read_ropes(struct config *c, const char *what, struct err *e)
{
    const struct json *list = json_get(c->json, "no_rope_layers");
    const int listed = json_has(c->json, "no_rope_layers");
    int64_t step, has;

    if (json_opt_int(c->json, "no_rope_layer_interval", 1, 65536, 4, &step, what, e) < 0)
        return -1;
    if (listed && (json_kind(list) != JSON_KIND_ARRAY || json_count(list) != c->layers))
        return err_set(e, ERR_USE, "%s: no_rope_layers must be an array of %zu numbers", what,
                       c->layers);
    for (size_t i = 0; i < c->layers; i++) {
        has = (i + 1) % (size_t)step != 0;
        if (listed && (json_as_int(json_at(list, i), &has) < 0 || has < 0 || has > 1))
            return err_set(e, ERR_USE, "%s: no_rope_layers[%zu] must be 0 or 1", what, i);
        if (!has)
            c->block[i] |= BLOCK_NO_ROPE;
    }
    return 0;
}

/* Where windows are asked for and layer_types does not say where, blocks without rope have one. */
static int read_windows(struct config *c, const char *what, struct err *e)
{
    int64_t window;
    int use, listed;

    if (json_opt_bool(c->json, "use_sliding_window", 0, &use, what, e) < 0 ||
        config_window_key(c, 0, &window, what, e) < 0)
        return -1;
    if (!use || !window)
        return 0;
    c->window = (size_t)window;
    listed = config_layer_types(c, what, e);
    for (size_t i = 0; listed == 0 && i < c->layers; i++)
        if (c->block[i] & BLOCK_NO_ROPE)
            c->block[i] |= BLOCK_WINDOW;
    return listed < 0 ? -1 : 0;
}

static int settle(struct config *c, const char *what, struct err *e)
{
    if (json_opt_bool(c->json, "attention_bias", 0, &c->attention_bias, what, e) < 0 ||
        json_opt_bool(c->json, "mlp_bias", 0, &c->mlp_bias, what, e) < 0)
        return -1;
    c->attention_out_bias = c->attention_bias;
    return read_ropes(c, what, e) < 0 ? -1 : read_windows(c, what, e);
}

static const char *const reads[] = {"no_rope_layers", NULL};

extern const struct family family_smollm3;
const struct family family_smollm3 = {
    .model_type = "smollm3",
    .architecture = "SmolLM3ForCausalLM",
    .about = "SmolLM3",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .theta = 2000000,
    .tied = 1,
    .settle = settle,
    .build = family_block,
};
