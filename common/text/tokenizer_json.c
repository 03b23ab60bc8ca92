/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_json - tokenizer.json (and the two lines that matter of tokenizer_config.json) into
 * a struct tokenizer.
 *
 * Format: https://github.com/huggingface/tokenizers, as its files look. Left out: models other
 * than BPE, dropout, subword prefixes and suffixes, truncation and padding (a caller's
 * business), post-processors that are not templates; all but truncation and padding are refused
 * by name. */
#include <stdlib.h>
#include <string.h>

#include "../base/fs.h"
#include "../base/hash.h"
#include "../base/json.h"
#include "../base/mem.h"
#include "tokenizer.h"
#include "tokenizer_parts.h"

#define FILE_MAX ((size_t)256 << 20)

/* ---- model ---- */

static int model_refuse(const struct json *m, const char *what, struct err *e)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *type = json_as_text(json_get(m, "type"));
    double dropout;
    size_t i;

    if (json_kind(m) != JSON_KIND_OBJECT)
        return err_set(e, ERR_USE, "%s: no 'model'", what);
    if (type ? strcmp(type, "BPE") != 0 : !json_get(m, "merges")) /* early files do not say BPE */
        return err_set(e, ERR_USE, "%s: model '%s' is not known, only BPE is", what,
                       type ? type : "?");
    if (json_opt_real(m, "dropout", 0, &dropout, what, e) < 0)
        return -1;
    if (dropout != 0)
        return err_set(e, ERR_USE, "%s: model with 'dropout' gives no fixed tokens", what);
    for (i = 0; i < 2; i++) {
        const char *x = json_as_text(json_get(m, affixes[i]));

        if (x && *x)
            return err_set(e, ERR_USE, "%s: model with '%s' is not known", what, affixes[i]);
    }
    return 0;
}

/* "a b". Tokens may hold spaces themselves: then the cut is the first that leaves two tokens. */
static int merge_cut(struct bpe *b, const char *text, size_t n, struct err *e)
{
    size_t i, cut = 0;

    for (i = 1; i + 1 < n; i++) {
        if (text[i] != ' ')
            continue;
        if (!cut)
            cut = i;
        if (bpe_find(b, text, i) < 0 || bpe_find(b, text + i + 1, n - i - 1) < 0)
            continue;
        cut = i;
        break;
    }
    if (!cut)
        return err_set(e, ERR_USE, "merge '%.60s' is not a pair", text);
    return bpe_add_merge(b, text, cut, text + cut + 1, n - cut - 1, e);
}

static int merge_parse(struct bpe *b, const struct json *j, struct err *e)
{
    const char *text = json_as_text(j), *right = json_as_text(json_at(j, 1)),
               *left = json_as_text(json_at(j, 0));

    if (text)
        return merge_cut(b, text, json_text_length(j), e);
    if (json_kind(j) != JSON_KIND_ARRAY || json_count(j) != 2 || !left || !right)
        return err_set(e, ERR_USE, "a merge is neither \"a b\" nor [\"a\", \"b\"]");
    return bpe_add_merge(b, left, json_text_length(json_at(j, 0)), right,
                         json_text_length(json_at(j, 1)), e);
}

static int vocab_parse(struct tokenizer *t, const struct json *m, const char *what, struct err *e)
{
    const struct json *vocab = json_get(m, "vocab"), *merges = json_get(m, "merges");
    size_t i;

    if (json_kind(vocab) != JSON_KIND_OBJECT || !json_count(vocab) ||
        json_kind(merges) != JSON_KIND_ARRAY)
        return err_set(e, ERR_USE, "%s: model without 'vocab' or 'merges'", what);
    if (!(t->bpe = bpe_create(json_count(vocab), json_count(merges), e)))
        return err_prefix(e, "%s", what);
    for (i = 0; i < json_count(vocab); i++) {
        const char *key;
        const struct json *v = json_member(vocab, i, &key);
        int64_t id;

        if (json_as_int(v, &id) < 0)
            return err_set(e, ERR_USE, "%s: token '%.60s' has no id", what, key);
        if (!*key)
            continue; /* never matched, but some files carry one */
        if (bpe_add_token(t->bpe, key, strlen(key), id, e) < 0)
            return err_prefix(e, "%s", what);
    }
    for (i = 0; i < json_count(merges); i++)
        if (merge_parse(t->bpe, json_at(merges, i), e) < 0)
            return err_prefix(e, "%s", what);
    return 0;
}

static int model_parse(struct tokenizer *t, const struct json *m, int byte_level, const char *what,
                       struct err *e)
{
    struct bpe_opts o = {.byte_level = byte_level, .unk = -1};
    const char *unk = json_as_text(json_get(m, "unk_token"));

    if (model_refuse(m, what, e) < 0 ||
        json_opt_bool(m, "byte_fallback", 0, &o.byte_fallback, what, e) < 0 ||
        json_opt_bool(m, "fuse_unk", 0, &o.fuse_unk, what, e) < 0 ||
        json_opt_bool(m, "ignore_merges", 0, &o.ignore_merges, what, e) < 0 ||
        vocab_parse(t, m, what, e) < 0)
        return -1;
    if (unk && *unk && (o.unk = bpe_find(t->bpe, unk, strlen(unk))) < 0)
        return err_set(e, ERR_USE, "%s: unk_token '%.60s' is not in the vocabulary", what, unk);
    if (byte_level)
        o.byte_fallback = 0;
    return bpe_start(t->bpe, &o, e) < 0 ? err_prefix(e, "%s", what) : 0;
}

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

static int post_one(struct tokenizer *t, const struct json *j, const char *type, int *byte_level,
                    const char *what, struct err *e)
{
    (void)byte_level;
    if (!strcmp(type, "ByteLevel"))
        return 0; /* trims offsets only */
    if (strcmp(type, "TemplateProcessing"))
        return err_set(e, ERR_USE, "%s: post-processor '%s' is not known", what, type);
    if (t->front.count || t->back.count)
        return err_set(e, ERR_USE, "%s: two TemplateProcessing parts", what);
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
    if (!fs_is_named(path)) {
        rc = 0;
        goto out;
    }
    if (!(j = json_read(path, e)) ||
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

struct tokenizer *tokenizer_open(const char *dir, struct err *e)
{
    char *path = fs_join(dir, "tokenizer.json", e), *text = NULL;
    struct tokenizer *t = NULL;
    size_t n;

    if (!path || !(text = fs_read(path, FILE_MAX, &n, e)) ||
        !(t = tokenizer_parse(text, n, path, e)))
        goto out;
    if (config_apply(t, dir, e) < 0)
        tokenizer_close(&t);
out:
    free(text);
    free(path);
    return t;
}
