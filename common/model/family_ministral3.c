/* SPDX-License-Identifier: Apache-2.0 */
/* family_ministral3 - Ministral 3: Mistral with YaRN whose queries grow with their position. */
#include "config_parts.h"

#define RATE "llama_4_scaling_beta"

/* Its length is the one that the rope was trained for. */
static int read_growth(struct config *c, const char *what, struct err *e)
{
    const struct json *r = json_get(c->json, "rope_parameters");

    if (!json_has(r, RATE))
        return 0;
    if (json_need_real(r, RATE, &c->query_growth, what, e) < 0)
        return -1;
    if (!c->rope.original)
        return err_set(e, ERR_USE, "%s: " RATE " needs original_max_position_embeddings of yarn",
                       what);
    c->query_original = c->rope.original;
    return 0;
}

static int settle(struct config *c, const char *what, struct err *e)
{
    int64_t window;

    if (!json_has(c->json, "rope_parameters"))
        return err_set(e, ERR_USE, "%s: rope_parameters is missing", what);
    return read_growth(c, what, e) < 0 || config_window_key(c, 0, &window, what, e) < 0
               ? -1
               : config_windows(c, window, 0, what, e);
}

static const char *const reads[] = {RATE, NULL};

extern const struct family family_ministral3, family_mistral3;
const struct family family_ministral3 = {
    .model_type = "ministral3",
    .architecture = "Ministral3ForCausalLM",
    .about = "Ministral 3 (text)",
    FAMILY_LLAMA_ENDS,
    .reads = reads,
    .head_dim = 128,
    .theta = 1000000,
    .eps = 1e-5,
    .settle = settle,
    .build = family_block,
};

/* As published, with a tower for images, which is not run. */
extern const struct family family_mistral;
static const struct family_text texts[] = {{"ministral3", &family_ministral3, NULL},
                                           {"mistral", &family_mistral, NULL},
                                           {NULL, NULL, NULL}};

const struct family family_mistral3 = {
    .model_type = "mistral3",
    .architecture = "Mistral3ForConditionalGeneration",
    .about = "Ministral 3, Mistral Small 3.1; text without images",
    .embed = "language_model.model.embed_tokens",
    .head = "language_model.lm_head",
    .final_norm = "language_model.model.norm",
    .blocks = "language_model.model.layers",
    .texts = texts,
};
