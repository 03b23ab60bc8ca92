/* SPDX-License-Identifier: Apache-2.0 */
/* config_blocks - which blocks have a window: newer files name the kind of attention of each,
 * older ones say it by a pattern, or from which block on. */
#include <string.h>
#include "config_parts.h"

#define PATTERN "sliding_window_pattern"

enum { TYPE_FULL, TYPE_WINDOW, TYPE_DELTA, TYPES };
static const struct {
    const char *name;
    unsigned char flag;
} types[TYPES] = {
    {"full_attention", 0}, {"sliding_attention", BLOCK_WINDOW}, {"linear_attention", BLOCK_DELTA}};

static const char *type_of(const struct config *c, size_t block)
{
    return types[c->block[block] & BLOCK_DELTA    ? TYPE_DELTA
                 : c->block[block] & BLOCK_WINDOW ? TYPE_WINDOW
                                                  : TYPE_FULL]
        .name;
}

/* Not one for each block. */
static int types_count(const struct config *c, const char *what, struct err *e)
{
    const struct json *list = json_get(c->json, "layer_types");

    if (json_kind(list) != JSON_KIND_ARRAY)
        return err_set(e, ERR_USE, "%s: layer_types is no list of the %zu layers", what, c->layers);
    return err_set(e, ERR_USE,
                   "%s: layer_types: %zu layer types for %zu layers (num_hidden_layers)", what,
                   json_count(list), c->layers);
}

int config_layer_types(struct config *c, const char *what, struct err *e)
{
    const struct json *list = json_get(c->json, "layer_types");

    if (!json_has(c->json, "layer_types"))
        return 0;
    if (json_kind(list) != JSON_KIND_ARRAY || json_count(list) != c->layers)
        return types_count(c, what, e);
    for (size_t i = 0; i < c->layers; i++) {
        const char *got = json_as_text(json_at(list, i)), *delta = types[TYPE_DELTA].name;
        const int known = family_text(c)->delta ? TYPES : TYPE_DELTA;
        int k = 0;

        while (k < known && !(got && strcmp(got, types[k].name) == 0))
            k++;
        if (k == known)
            return err_set(e, ERR_USE,
                           "%s: layer_types[%zu] is '%.64s' (known: full_attention, "
                           "sliding_attention%s%s)",
                           what, i, got ? got : "not a text", known == TYPES ? ", " : "",
                           known == TYPES ? delta : "");
        c->block[i] |= types[k].flag;
    }
    return 1;
}

int config_window_key(const struct config *c, int64_t def, int64_t *window, const char *what,
                      struct err *e)
{
    static const char key[] = "sliding_window";

    if (json_get(c->json, key) && !json_has(c->json, key)) {
        *window = 0;
        return 0;
    }
    return json_opt_int(c->json, key, 0, CONFIG_POSITIONS, def, window, what, e);
}

int config_pattern_key(const struct config *c, int64_t def, int64_t *pattern, const char *what,
                       struct err *e)
{
    const char *word = json_as_text(json_get(c->json, PATTERN));
    const size_t local = word ? strspn(word, "L") : 0;

    if (!word)
        return json_opt_int(c->json, PATTERN, 1, CONFIG_POSITIONS, def, pattern, what, e);
    *pattern = (int64_t)local + 1;
    return strcmp(word + local, "G") == 0
               ? 0
               : err_set(e, ERR_USE, "%s: %s '%.64s' is not some L and one G", what, PATTERN, word);
}

int config_windows(struct config *c, int64_t window, size_t pattern, const char *what,
                   struct err *e)
{
    int listed;

    if (!window)
        return 0;
    c->window = (size_t)window;
    /* one for all: layer_types must agree, which is checked for all families */
    listed = pattern ? config_layer_types(c, what, e) : 0;
    for (size_t i = 0; listed == 0 && i < c->layers; i++)
        if (!pattern || (i + 1) % pattern != 0)
            c->block[i] |= BLOCK_WINDOW;
    return listed < 0 ? -1 : 0;
}

int config_windows_from(struct config *c, const char *what, struct err *e)
{
    int sliding, listed;
    int64_t window, from;

    if (json_opt_bool(c->json, "use_sliding_window", 0, &sliding, what, e) < 0)
        return -1;
    if (!sliding)
        return 0;
    if (json_need_int(c->json, "sliding_window", 1, CONFIG_POSITIONS, &window, what, e) < 0 ||
        json_opt_int(c->json, "max_window_layers", 0, CONFIG_POSITIONS, 28, &from, what, e) < 0 ||
        (listed = config_layer_types(c, what, e)) < 0)
        return -1;
    c->window = (size_t)window;
    /* layer_types counts where it is there: transformers writes both, the other as it was made */
    for (size_t i = (size_t)from; listed == 0 && i < c->layers; i++)
        c->block[i] |= BLOCK_WINDOW;
    return 0;
}

/* Each pattern-th block sees everything: what the key says where layer_types counts. */
static int check_pattern(const struct config *c, const char *what, struct err *e)
{
    int64_t pattern;

    if (!json_has(c->json, PATTERN) || !c->window)
        return 0;
    if (config_pattern_key(c, 1, &pattern, what, e) < 0)
        return -1;
    for (size_t i = 0; i < c->layers; i++)
        if (((int64_t)(i + 1) % pattern != 0) != ((c->block[i] & BLOCK_WINDOW) != 0))
            return err_set(e, ERR_USE,
                           "%s: %s %lld and layer_types differ on block %zu: remove one of them",
                           what, PATTERN, (long long)pattern, i);
    return 0;
}

/* mlp_layer_types: what newer files say in the place of first_k_dense_replace and its like. */
static int check_experts(const struct config *c, const char *what, struct err *e)
{
    static const char key[] = "mlp_layer_types";
    const struct json *list = json_get(c->json, key);

    for (size_t i = 0; json_has(c->json, key) && i < c->layers; i++) {
        const char *got = json_as_text(json_at(list, i));

        if (!got || strcmp(got, c->block[i] & BLOCK_EXPERTS ? "sparse" : "dense") != 0)
            return err_set(e, ERR_USE,
                           "%s: %s[%zu] is '%.64s', the other keys and %s say '%s': remove one of "
                           "them",
                           what, key, i, got ? got : "not a text", c->model_type,
                           c->block[i] & BLOCK_EXPERTS ? "sparse" : "dense");
    }
    return 0;
}

int config_check_blocks(struct config *c, const char *what, struct err *e)
{
    const struct json *list = json_get(c->json, "layer_types");
    int any = 0;

    if (json_has(c->json, "layer_types") &&
        (json_kind(list) != JSON_KIND_ARRAY || json_count(list) != c->layers))
        return types_count(c, what, e);
    for (size_t i = 0; i < c->layers; i++) {
        const int slides = c->block[i] & BLOCK_WINDOW;
        const char *got = json_as_text(json_at(list, i)), *want = type_of(c, i);

        any |= slides;
        if (json_has(c->json, "layer_types") && (!got || strcmp(got, want) != 0))
            return err_set(e, ERR_USE,
                           "%s: layer_types[%zu] of %zu is '%.64s', the other keys and %s say "
                           "'%s' for %zu blocks",
                           what, i, json_count(list), got ? got : "not a text", c->model_type, want,
                           c->layers);
    }
    if (!any)
        c->window = 0;
    return check_pattern(c, what, e) < 0 ? -1 : check_experts(c, what, e);
}
