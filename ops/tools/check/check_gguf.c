/* SPDX-License-Identifier: Apache-2.0 */
/* check_gguf - see check_gguf.h. Which tokenizers there are is llama.cpp's to say: asked is only
 * what all of them have. */
#include "check_gguf.h"

#include <string.h>

#include "../../../common/base/json.h"

#define KEY(name) "tokenizer.ggml." name

static size_t tokens_of(const struct gguf *g)
{
    const struct json *t = json_get(g->meta, KEY("tokens"));

    return json_kind(t) == JSON_KIND_ARRAY ? json_count(t) : 0;
}

static void model_look(const struct gguf *g, const char *key, struct err *e)
{
    const char *model = json_as_text(json_get(g->meta, key));

    if (!model)
        err_set(e, ERR_USE, "%s: key '%s' is missing: llama.cpp does not load it", g->path, key);
}

static void tokens_look(const struct gguf *g, const char *key, struct err *e)
{
    const char *model = json_as_text(json_get(g->meta, KEY("model")));

    if (!tokens_of(g) && !(model && (!strcmp(model, "none") || !strcmp(model, "no_vocab"))))
        err_set(e, ERR_USE, "%s: key '%s' is missing or empty: llama.cpp does not load it", g->path,
                key);
}

static void list_look(const struct gguf *g, const char *key, struct err *e)
{
    const struct json *list = json_get(g->meta, key);
    const size_t n = tokens_of(g);

    if (list && n && (json_kind(list) != JSON_KIND_ARRAY || json_count(list) != n))
        err_set(e, ERR_USE, "%s: key '%s' has %zu items, for %zu tokens", g->path, key,
                json_count(list), n);
}

static void id_look(const struct gguf *g, const char *key, struct err *e)
{
    const struct json *v = json_get(g->meta, key);
    const size_t n = tokens_of(g);
    int64_t id;

    if (!v || !n)
        return;
    if (json_kind(v) != JSON_KIND_INT || json_as_int(v, &id) < 0)
        err_set(e, ERR_USE, "%s: key '%s' is not an integer", g->path, key);
    else if (id >= (int64_t)n && id != UINT32_MAX)
        err_set(e, ERR_USE, "%s: key '%s' is %lld, the vocabulary has %zu tokens", g->path, key,
                (long long)id, n);
}

int check_gguf(const struct gguf *g, size_t step, struct err *e)
{
    static const struct {
        const char *key;
        void (*look)(const struct gguf *g, const char *key, struct err *e);
    } steps[] = {
        {KEY("model"), model_look},         {KEY("tokens"), tokens_look},
        {KEY("token_type"), list_look},     {KEY("scores"), list_look},
        {KEY("bos_token_id"), id_look},     {KEY("eos_token_id"), id_look},
        {KEY("eot_token_id"), id_look},     {KEY("unknown_token_id"), id_look},
        {KEY("padding_token_id"), id_look},
    };

    if (step >= sizeof steps / sizeof *steps)
        return 0;
    steps[step].look(g, steps[step].key, e);
    return 1;
}
