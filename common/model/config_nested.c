/* SPDX-License-Identifier: Apache-2.0 */
/* config_nested - config.json of a model of several parts: the keys of its decoder stand in
 * text_config, in some older files beside those of the whole. Files leave out sizes that
 * transformers fills in. */
#include <stdio.h>
#include <string.h>
#include "config_parts.h"
#include "vision.h"

static int text_unknown(const struct family *f, const char *got, const char *what, struct err *e)
{
    char known[256] = "";
    size_t used = 0;

    for (size_t i = 0; f->texts[i].model_type && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "",
                                 f->texts[i].model_type);
    return err_set(e, ERR_USE,
                   "%s: text_config.model_type '%.64s' is not supported in a %s (known: %s)", what,
                   got, f->model_type, known);
}

int config_nested_find(struct config *c, const char *what, struct err *e)
{
    const struct family *f = family_of(c);
    const struct json *text = json_get(c->file, "text_config");
    const char *type;

    if (!f->texts)
        return 0;
    if (json_kind(text) == JSON_KIND_OBJECT)
        c->json = text;
    else if (!f->flat || json_kind(text) != JSON_KIND_NULL)
        return err_set(e, ERR_USE, "%s: text_config must be an object", what);
    if (c->json == c->file || !json_has(text, "model_type"))
        type = f->texts[0].model_type;
    else if (!(type = json_need_text(text, "model_type", what, e)))
        return -1;
    for (size_t i = 0; f->texts[i].model_type; i++)
        if (strcmp(f->texts[i].model_type, type) == 0) {
            c->nested = &f->texts[i];
            c->image_blocks = f->image_blocks;
            return 0;
        }
    return text_unknown(f, type, what, e);
}

int config_nested_vision(struct config *c, const char *what, struct err *e)
{
    const struct vision_kind *kind = family_of(c)->vision;

    if (!kind)
        return 0;
    if (vision_read(&c->vision, c, kind, what, e) < 0)
        return -1;
    c->deepstack = c->vision->branches;
    return 0;
}

size_t config_nested_size(const struct config *c, const char *key)
{
    const struct family_size *s = c->json != c->file ? c->nested->sizes : NULL;

    for (; s && s->key; s++)
        if (strcmp(s->key, key) == 0)
            return s->value;
    return 0;
}

/* Some readers ask the decoder's object, others the whole: where one of both says tied, the numbers
 * of the file settle it (model_settle_head). */
int config_nested_tied(const struct config *c, int def, int *tied, const char *what, struct err *e)
{
    static const char key[] = "tie_word_embeddings";
    int whole;

    if (json_opt_bool(c->file, key, def, &whole, what, e) ||
        json_opt_bool(c->json, key, whole, tied, what, e))
        return -1;
    *tied |= whole && json_has(c->file, key);
    return 0;
}
