/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_json - tokenizer.json (and the two lines that matter of tokenizer_config.json) into
 * a struct tokenizer.
 *
 * Format: https://github.com/huggingface/tokenizers, as its files look. Left out: truncation
 * and padding (a caller's business), and what is refused by name. The model: tokenizer_model.c. */
#include <stdlib.h>
#include <string.h>

#include "../base/fs.h"
#include "../base/hash.h"
#include "../base/json.h"
#include "../base/mem.h"
#include "model_file.h"
#include "tokenizer.h"
#include "tokenizer_parts.h"

#define FILE_MAX ((size_t)256 << 20)

/* ---- added tokens ---- */

static int added_one(struct tokenizer *t, const struct json *j, const char *what, struct err *e)
{
    struct added *a = &t->added[t->nadded];
    const char *text = json_need_text(j, "content", what, e);
    size_t n = json_text_length(json_get(j, "content"));
    int64_t id;
    int32_t known;

    if (!text || json_need_int(j, "id", 0, BPE_ID_MAX - 1, &id, what, e) < 0 ||
        json_opt_bool(j, "special", 0, &a->special, what, e) < 0 ||
        json_opt_bool(j, "normalized", !a->special, &a->normalized, what, e) < 0 ||
        json_opt_bool(j, "lstrip", 0, &a->lstrip, what, e) < 0 ||
        json_opt_bool(j, "rstrip", 0, &a->rstrip, what, e) < 0 ||
        json_opt_bool(j, "single_word", 0, &a->single_word, what, e) < 0)
        return -1;
    if (!n) /* as the reference has it: it stands in no text, and its id for nothing */
        return 0;
    known = bpe_find(t->bpe, text, n);
    if (known >= 0 && known != id)
        return err_set(e, ERR_USE,
                       "%s: added token '%.60s' has id %lld, in the vocabulary it is %d", what,
                       text, (long long)id, known);
    a->id = (int32_t)id;
    t->nadded++;
    if ((size_t)id >= t->vocab)
        t->vocab = (size_t)id + 1;
    return text_copy(&a->raw, text, n, e);
}

static int added_parse(struct tokenizer *t, const struct json *j, const char *what, struct err *e)
{
    size_t i, n = json_count(j);

    t->vocab = bpe_vocab(t->bpe);
    if (json_kind(j) != JSON_KIND_NULL && json_kind(j) != JSON_KIND_ARRAY)
        return err_set(e, ERR_USE, "%s: 'added_tokens' is not a list", what);
    if (!n)
        return 0;
    if (n > BPE_ID_MAX)
        return err_set(e, ERR_USE, "%s: too many added tokens", what);
    if (!(t->added = mem_array(n, sizeof *t->added, e)))
        return -1;
    for (i = 0; i < n; i++)
        if (added_one(t, json_at(j, i), what, e) < 0)
            return -1;
    return added_prepare(t, e);
}

/* ---- post-processor ---- */

static int template_token(struct tokenizer *t, const struct json *post, const struct json *piece,
                          struct bpe_ids *to, const char *what, struct err *e)
{
    const char *name = json_need_text(piece, "id", what, e);
    const struct json *ids =
        name ? json_get(json_get(json_get(post, "special_tokens"), name), "ids") : NULL;
    size_t i;

    if (!name)
        return -1;
    if (!json_count(ids))
        return err_set(e, ERR_USE, "%s: TemplateProcessing has no ids of '%.60s'", what, name);
    for (i = 0; i < json_count(ids); i++) {
        int64_t id;

        if (json_as_int(json_at(ids, i), &id) < 0 || id < 0 || (size_t)id >= t->vocab)
            return err_set(e, ERR_USE,
                           "%s: TemplateProcessing: an id of '%.60s' is outside the vocabulary",
                           what, name);
        if (bpe_ids_push(to, (int32_t)id, e) < 0)
            return -1;
    }
    return 0;
}

static int template_parse(struct tokenizer *t, const struct json *post, const char *what,
                          struct err *e)
{
    const struct json *single = json_get(post, "single");
    size_t i;
    int seen = 0;

    for (i = 0; i < json_count(single); i++) {
        const struct json *x = json_at(single, i), *special = json_get(x, "SpecialToken");

        if (special) {
            if (template_token(t, post, special, seen ? &t->back : &t->front, what, e) < 0)
                return -1;
        } else if (json_get(x, "Sequence") && !seen) {
            seen = 1;
        } else {
            return err_set(e, ERR_USE, "%s: TemplateProcessing 'single' has an unknown piece",
                           what);
        }
    }
    return seen ? 0
                : err_set(e, ERR_USE, "%s: TemplateProcessing 'single' without a sequence", what);
}

/* ["</s>", 2] */
static int pair_token(const struct tokenizer *t, const struct json *post, const char *key,
                      const char *type, struct bpe_ids *to, const char *what, struct err *e)
{
    const struct json *pair = json_get(post, key);
    int64_t id;

    if (json_count(pair) != 2 || json_as_int(json_at(pair, 1), &id) < 0 || id < 0 ||
        (size_t)id >= t->vocab)
        return err_set(e, ERR_USE, "%s: %s: '%s' is not a token and its id", what, type, key);
    return bpe_ids_push(to, (int32_t)id, e);
}

static int pair_parse(struct tokenizer *t, const struct json *post, const char *type,
                      const char *what, struct err *e)
{
    if (t->front.count || t->back.count)
        return err_set(e, ERR_USE, "%s: two post-processors that add tokens", what);
    return pair_token(t, post, "cls", type, &t->front, what, e) < 0
               ? -1
               : pair_token(t, post, "sep", type, &t->back, what, e);
}

static int post_one(struct tokenizer *t, const struct json *j, const char *type, int *byte_level,
                    const char *what, struct err *e)
{
    (void)byte_level;
    if (!strcmp(type, "ByteLevel"))
        return 0; /* trims offsets only */
    if (!strcmp(type, "RobertaProcessing") || !strcmp(type, "BertProcessing"))
        return pair_parse(t, j, type, what, e);
    if (strcmp(type, "TemplateProcessing"))
        return err_set(e, ERR_USE, "%s: post-processor '%s' is not known", what, type);
    if (t->front.count || t->back.count)
        return err_set(e, ERR_USE, "%s: two post-processors that add tokens", what);
    return template_parse(t, j, what, e);
}

/* ---- tokenizer_config.json ---- */

/* add_bos_token and add_eos_token, where they are said, overrule the template. */
static int config_token(struct tokenizer *t, const struct json *j, const char *flag,
                        const char *key, struct bpe_ids *ids, const char *what, struct err *e)
{
    const struct json *token = json_get(j, key);
    const char *text =
        json_as_text(token) ? json_as_text(token) : json_as_text(json_get(token, "content"));
    int add, id;

    if (json_as_bool(json_get(j, flag), &add) < 0)
        return 0;
    if (!add) {
        ids->count = 0;
        return 0;
    }
    if (ids->count || !text)
        return 0;
    if ((id = tokenizer_id(t, text)) < 0)
        return err_set(e, ERR_USE, "%s: '%s' is '%.60s', which tokenizer.json does not have", what,
                       key, text);
    return bpe_ids_push(ids, id, e);
}

static int config_apply(struct tokenizer *t, const char *dir, struct err *e)
{
    char *path = fs_join(dir, "tokenizer_config.json", e);
    struct json *j = NULL;
    int rc = -1;

    if (!path)
        return -1;
    if (!model_file_is(dir, "tokenizer_config.json")) {
        rc = 0;
        goto out;
    }
    if (!(j = model_file_json(dir, "tokenizer_config.json", e)) ||
        config_token(t, j, "add_bos_token", "bos_token", &t->front, path, e) < 0 ||
        config_token(t, j, "add_eos_token", "eos_token", &t->back, path, e) < 0)
        goto out;
    rc = 0;
out:
    json_destroy(&j);
    free(path);
    return rc;
}

/* ---- the whole ---- */

struct tokenizer *tokenizer_parse(const char *json, size_t length, const char *what, struct err *e)
{
    struct json *j = json_parse(json, length, what, e);
    struct tokenizer *t = NULL;
    int byte_level = 0;

    if (!j)
        return NULL;
    if (!(t = mem_array(1, sizeof *t, e)))
        goto out;
    t->digest = hash_bytes(json, length);
    if (norm_parse(t, json_get(j, "normalizer"), what, e) < 0 ||
        pre_parse(t, json_get(j, "pre_tokenizer"), &byte_level, what, e) < 0 ||
        dec_parse(t, json_get(j, "decoder"), what, e) < 0 ||
        model_parse(t, json_get(j, "model"), byte_level, what, e) < 0 ||
        added_parse(t, json_get(j, "added_tokens"), what, e) < 0 ||
        parts_walk(t, json_get(j, "post_processor"), "processors", post_one, NULL, what, e) < 0)
        tokenizer_close(&t);
out:
    json_destroy(&j);
    return t;
}

int tokenizer_is_there(const char *dir)
{
    return model_file_is(dir, "tokenizer.json") || model_file_is(dir, "tokenizer.model");
}

/* The special tokens of a file of ranks, {"128000": {"content": ...}, ...}, and its BOS. */
static int ranks_finish(struct tokenizer *t, const char *dir, int bos, struct err *e)
{
    char *path = fs_join(dir, "tokenizer_config.json", e);
    struct json *j = path && fs_is_named(path) ? json_read(path, e) : NULL, *list = NULL;
    const struct json *map = json_get(j, "added_tokens_decoder"), *token;
    const char *key;
    int rc = -1;

    if (path && !json_count(map))
        err_set(e, ERR_USE,
                "%s: no \"added_tokens_decoder\": a tiktoken file does not say what the special "
                "tokens are: put the model's tokenizer.json beside it",
                path);
    else if (path && (list = json_new_array()))
        rc = 0;
    for (size_t i = 0; rc == 0 && i < json_count(map); i++) {
        struct json *one = json_clone(json_member(map, i, &key));

        if (json_set_int(one, "id", strtoll(key, NULL, 10)) < 0) {
            json_destroy(&one);
            rc = err_set(e, ERR_USE, "%s: added_tokens_decoder: '%.20s'", path, key);
        } else if (json_push(list, one) < 0)
            rc = err_set(e, ERR_SYS, "no memory for the added tokens");
    }
    if (rc == 0)
        rc = added_parse(t, list, path, e);
    token = json_get(j, "bos_token");
    key = json_as_text(token) ? json_as_text(token) : json_as_text(json_get(token, "content"));
    if (rc == 0 && bos && key && tokenizer_id(t, key) >= 0)
        rc = bpe_ids_push(&t->front, tokenizer_id(t, key), e);
    json_destroy(&list);
    json_destroy(&j);
    free(path);
    return rc;
}

/* Files of ranks have this name, too. */
static struct tokenizer *model_file_parse(const char *text, size_t n, const char *path,
                                          const char *dir, struct err *e)
{
    struct tokenizer *t;
    int bos;

    if (!tokenizer_is_ranks(text, n))
        return tokenizer_spm_parse(text, n, path, e);
    if ((t = tokenizer_ranks_parse(text, n, path, &bos, e)) && ranks_finish(t, dir, bos, e) < 0)
        tokenizer_close(&t);
    return t;
}

struct tokenizer *tokenizer_open(const char *dir, struct err *e)
{
    const int model =
        !model_file_is(dir, "tokenizer.json") && model_file_is(dir, "tokenizer.model");
    const char *name = model ? "tokenizer.model" : "tokenizer.json";
    char *path = fs_join(dir, name, e), *text = NULL;
    struct tokenizer *t = NULL;
    size_t n;

    if (!path || !(text = model_file_read(dir, name, FILE_MAX, &n, e)) ||
        !(t = model ? model_file_parse(text, n, path, dir, e) : tokenizer_parse(text, n, path, e)))
        goto out;
    if (config_apply(t, dir, e) < 0)
        tokenizer_close(&t);
out:
    free(text);
    free(path);
    return t;
}
