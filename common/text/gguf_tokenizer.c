/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_tokenizer - tokenizer.json and what goes with it, from the vocabulary in a GGUF file.
 *
 * Two kinds: "gpt2" (byte-level BPE; how text is cut first: gguf_pre.c) and "llama"
 * (SentencePiece BPE). Left out: WordPiece, unigram and other kinds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "gguf_tokenizer.h"

#define KEY(name) "tokenizer.ggml." name

#define SPACE "\"\xE2\x96\x81\"" /* U+2581 */
#define SPM_REPLACE "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},\"content\":" SPACE "}"
#define SPM_DECODE                                         \
    "{\"type\":\"Replace\",\"pattern\":{\"String\":" SPACE \
    "},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"}"

struct vocabulary {
    const struct gguf *g;
    const struct json *tokens, *types;
    size_t count;
    int64_t bos, eos, unk, pad;
    int add_bos, add_eos, spm;
    const struct pre_name *pre;
};

static struct json *piece(const char *text, struct err *e)
{
    return json_parse(text, strlen(text), "a part of tokenizer.json", e);
}

static const char *text_of(const struct vocabulary *s, int64_t id)
{
    return json_as_text(json_at(s->tokens, (size_t)id));
}

static int64_t type_of(const struct vocabulary *s, size_t id)
{
    int64_t type;

    return json_as_int(json_at(s->types, id), &type) ? TOKEN_NORMAL : type;
}

static int id_read(const struct vocabulary *s, const char *key, int64_t *id, struct err *e)
{
    if (json_opt_int(s->g->meta, key, -1, INT32_MAX, -1, id, s->g->path, e))
        return -1;
    if (*id >= (int64_t)s->count)
        return err_set(e, ERR_USE, "%s: key '%s' is %lld, the vocabulary has %zu tokens",
                       s->g->path, key, (long long)*id, s->count);
    return 0;
}

static int tokens_check(const struct vocabulary *s, struct err *e)
{
    if (json_kind(s->tokens) != JSON_KIND_ARRAY || s->count == 0)
        return err_set(e, ERR_USE,
                       "%s: key '" KEY("tokens") "' is missing or empty: no tokenizer in this file",
                       s->g->path);
    if (s->types && (json_kind(s->types) != JSON_KIND_ARRAY || json_count(s->types) != s->count))
        return err_set(
            e, ERR_USE,
            "%s: key '" KEY("token_type") "' must hold a type for each of the %zu tokens",
            s->g->path, s->count);
    for (size_t i = 0; i < s->count; i++) {
        const struct json *t = json_at(s->tokens, i);

        if (!json_as_text(t) || strlen(json_as_text(t)) != json_text_length(t))
            return err_set(e, ERR_USE, "%s: key '" KEY("tokens") "': token %zu is not a text",
                           s->g->path, i);
        if (type_of(s, i) < TOKEN_NORMAL || type_of(s, i) > TOKEN_BYTE)
            return err_set(
                e, ERR_USE,
                "%s: key '" KEY("token_type") "': token %zu has type %lld, which is not known",
                s->g->path, i, (long long)type_of(s, i));
    }
    return 0;
}

static int source_read(struct vocabulary *s, const struct gguf *g, const char *pre, struct err *e)
{
    const char *model = json_need_text(g->meta, KEY("model"), g->path, e);
    int spaces;

    memset(s, 0, sizeof *s);
    s->g = g;
    s->tokens = json_get(g->meta, KEY("tokens"));
    s->types = json_get(g->meta, KEY("token_type"));
    s->count = json_count(s->tokens);
    if (!model)
        return -1;
    s->spm = strcmp(model, "llama") == 0;
    if (!s->spm && strcmp(model, "gpt2"))
        return err_set(
            e, ERR_USE,
            "%s: key '" KEY("model") "': tokenizer '%.64s' cannot be read; gpt2 and llama can",
            g->path, model);
    if (s->spm && pre)
        return err_set(e, ERR_USE, "%s: --pre '%.64s': a SentencePiece tokenizer has none", g->path,
                       pre);
    if (tokens_check(s, e) || (!s->spm && !(s->pre = gguf_pre_read(g, pre, e))) ||
        id_read(s, KEY("bos_token_id"), &s->bos, e) ||
        id_read(s, KEY("eos_token_id"), &s->eos, e) ||
        id_read(s, KEY("unknown_token_id"), &s->unk, e) ||
        id_read(s, KEY("padding_token_id"), &s->pad, e) ||
        json_opt_bool(g->meta, KEY("add_bos_token"), s->spm || s->pre->bos, &s->add_bos, g->path,
                      e) ||
        json_opt_bool(g->meta, KEY("add_eos_token"), 0, &s->add_eos, g->path, e) ||
        json_opt_bool(g->meta, KEY("remove_extra_whitespaces"), 0, &spaces, g->path, e))
        return -1;
    if (spaces)
        return err_set(
            e, ERR_USE,
            "%s: key '" KEY("remove_extra_whitespaces") "' is set; such a tokenizer cannot be read",
            g->path);
    s->add_bos = s->add_bos && s->bos >= 0;
    s->add_eos = s->add_eos && s->eos >= 0;
    return 0;
}

/* All tokens, the added ones too: so every reader gives them the same ids. */
static struct json *vocab_make(const struct vocabulary *s, struct err *e)
{
    struct json *v = json_new_object();

    for (size_t i = 0; v && i < s->count; i++) {
        const char *text = text_of(s, (int64_t)i);

        if (json_get(v, text)) {
            err_set(
                e, ERR_USE,
                "%s: key '" KEY("tokens") "': '%.64s' is there twice, the second time as token %zu",
                s->g->path, text, i);
            json_destroy(&v);
            return NULL;
        }
        if (json_set_int(v, text, (int64_t)i))
            json_destroy(&v);
    }
    if (!v)
        err_set(e, ERR_SYS, "%s: out of memory for the vocabulary", s->g->path);
    return v;
}

/* A byte-level file brings its merges; a merge that names no tokens would be refused by every
 * reader of tokenizer.json. */
static int merge_check(const struct vocabulary *s, const struct json *vocab, size_t i,
                       const char *text, struct err *e)
{
    const char *space = text && *text ? strchr(text + 1, ' ') : NULL;
    char *left, *joined;
    int fine;

    if (!space || !space[1])
        return err_set(e, ERR_USE, "%s: key '" KEY("merges") "': merge %zu is not a pair",
                       s->g->path, i);
    left = mem_printf(e, "%.*s", (int)(space - text), text);
    joined = left ? mem_printf(e, "%s%s", left, space + 1) : NULL;
    fine = joined && json_get(vocab, left) && json_get(vocab, space + 1) && json_get(vocab, joined);
    if (joined && !fine)
        err_set(e, ERR_USE,
                "%s: key '" KEY(
                    "merges") "': merge %zu ('%.64s') names a token that is not in the vocabulary",
                s->g->path, i, text);
    free(joined);
    free(left);
    return fine ? 0 : -1;
}

static struct json *merges_copy(const struct vocabulary *s, const struct json *vocab, struct err *e)
{
    const struct json *merges = json_get(s->g->meta, KEY("merges"));
    struct json *copy;

    if (json_kind(merges) != JSON_KIND_ARRAY) {
        err_set(e, ERR_USE, "%s: key '" KEY("merges") "' is missing", s->g->path);
        return NULL;
    }
    for (size_t i = 0; i < json_count(merges); i++)
        if (merge_check(s, vocab, i, json_as_text(json_at(merges, i)), e))
            return NULL;
    copy = json_clone(merges);
    if (!copy)
        err_set(e, ERR_SYS, "%s: out of memory for the merges", s->g->path);
    return copy;
}

static struct json *model_make(const struct vocabulary *s, struct err *e)
{
    struct json *m = json_new_object(), *vocab = vocab_make(s, e), *merges = NULL;
    int rc;

    if (!m || !vocab)
        goto fail;
    merges = s->spm ? gguf_merges(s->tokens, json_get(s->g->meta, KEY("scores")), s->types, vocab,
                                  s->g->path, e)
                    : merges_copy(s, vocab, e);
    if (!merges)
        goto fail;
    if (json_set_text(m, "type", "BPE") || json_set(m, "dropout", json_new_null()) ||
        json_set(m, "unk_token",
                 s->spm && s->unk >= 0 ? json_new_text(text_of(s, s->unk)) : json_new_null()) ||
        json_set(m, "continuing_subword_prefix", json_new_null()) ||
        json_set(m, "end_of_word_suffix", json_new_null()) ||
        json_set_bool(m, "fuse_unk", s->spm) || json_set_bool(m, "byte_fallback", s->spm) ||
        json_set_bool(m, "ignore_merges", !s->spm && s->pre->ignore_merges)) {
        err_set(e, ERR_SYS, "%s: out of memory for tokenizer.json", s->g->path);
        goto fail;
    }
    rc = json_set(m, "vocab", vocab);
    rc = json_set(m, "merges", merges) || rc;
    if (!rc)
        return m;
    err_set(e, ERR_SYS, "%s: out of memory for tokenizer.json", s->g->path);
    json_destroy(&m);
    return NULL;
fail:
    json_destroy(&merges);
    json_destroy(&vocab);
    json_destroy(&m);
    return NULL;
}

/* 1: a special token, 0: an added one that is ordinary text, -1: no added token. */
static int added_kind(const struct vocabulary *s, size_t id)
{
    int64_t type = type_of(s, id), i = (int64_t)id;

    if (type == TOKEN_CONTROL || (type == TOKEN_UNKNOWN && i == s->unk))
        return 1;
    if (type == TOKEN_USER)
        return 0;
    return i == s->bos || i == s->eos || (i == s->pad && type != TOKEN_NORMAL) ? 1 : -1;
}

static struct json *added_one(const struct vocabulary *s, size_t id, int special, int with_id)
{
    struct json *a = json_new_object();

    if (a && ((with_id && json_set_int(a, "id", (int64_t)id)) ||
              json_set_text(a, "content", text_of(s, (int64_t)id)) ||
              json_set_bool(a, "single_word", 0) || json_set_bool(a, "lstrip", 0) ||
              json_set_bool(a, "rstrip", 0) || json_set_bool(a, "normalized", 0) ||
              json_set_bool(a, "special", special)))
        json_destroy(&a);
    return a;
}

/* As the list of tokenizer.json, and as the map by id of tokenizer_config.json. */
static int added_make(const struct vocabulary *s, struct json *list, struct json *map)
{
    char key[24];

    for (size_t i = 0; i < s->count; i++) {
        int special = added_kind(s, i);

        if (special < 0)
            continue;
        snprintf(key, sizeof key, "%zu", i);
        if (json_push(list, added_one(s, i, special, 1)) ||
            json_set(map, key, added_one(s, i, special, 0)))
            return -1;
    }
    return 0;
}

static struct json *nested(const char *outer, struct json *inner)
{
    struct json *j = json_new_object();

    if (j && json_set(j, outer, inner) == 0)
        return j;
    json_destroy(&j);
    return NULL;
}

/* {"SpecialToken": {"id": text, "type_id": type}}, or "Sequence" */
static struct json *template_piece(const char *kind, const char *id, int type)
{
    struct json *j = json_new_object();

    if (!j || json_set_text(j, "id", id) || json_set_int(j, "type_id", type)) {
        json_destroy(&j);
        return NULL;
    }
    return nested(kind, j);
}

static int template_push(const struct vocabulary *s, struct json *list, const char *sequence,
                         int type)
{
    return (s->add_bos &&
            json_push(list, template_piece("SpecialToken", text_of(s, s->bos), type))) ||
                   json_push(list, template_piece("Sequence", sequence, type)) ||
                   (s->add_eos &&
                    json_push(list, template_piece("SpecialToken", text_of(s, s->eos), type)))
               ? -1
               : 0;
}

static int template_token(const struct vocabulary *s, struct json *map, int64_t id)
{
    struct json *t = json_new_object(), *ids = json_new_array(), *texts = json_new_array();
    int rc;

    if (!t || !ids || !texts || json_push(ids, json_new_int(id)) ||
        json_push(texts, json_new_text(text_of(s, id))) || json_set_text(t, "id", text_of(s, id))) {
        json_destroy(&t);
        json_destroy(&ids);
        json_destroy(&texts);
        return -1;
    }
    rc = json_set(t, "ids", ids);
    rc = json_set(t, "tokens", texts) || rc;
    return json_set(map, text_of(s, id), t) || rc ? -1 : 0;
}

/* Null when nothing is added. */
static struct json *template_make(const struct vocabulary *s)
{
    struct json *t, *one, *pair, *map;
    int rc;

    if (!s->add_bos && !s->add_eos)
        return json_new_null();
    t = json_new_object();
    one = json_new_array();
    pair = json_new_array();
    map = json_new_object();
    if (!t || !one || !pair || !map || template_push(s, one, "A", 0) ||
        template_push(s, pair, "A", 0) || template_push(s, pair, "B", 1) ||
        (s->add_bos && template_token(s, map, s->bos)) ||
        (s->add_eos && template_token(s, map, s->eos)) ||
        json_set_text(t, "type", "TemplateProcessing")) {
        json_destroy(&one);
        json_destroy(&pair);
        json_destroy(&map);
        json_destroy(&t);
        return NULL;
    }
    rc = json_set(t, "single", one);
    rc = json_set(t, "pair", pair) || rc;
    rc = json_set(t, "special_tokens", map) || rc;
    if (rc)
        json_destroy(&t);
    return t;
}

static int steps_set(const struct vocabulary *s, struct json *t, struct err *e)
{
    struct json *cut = NULL;
    const char *normal, *decode = "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_"
                                  "offsets\":true,\"use_regex\":true}";
    int prefix;

    if (json_opt_bool(s->g->meta, KEY("add_space_prefix"), 1, &prefix, s->g->path, e))
        return -1;
    if (s->spm) {
        normal =
            prefix
                ? "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\",\"prepend\":" SPACE
                  "}," SPM_REPLACE "]}"
                : SPM_REPLACE;
        decode = prefix ? "{\"type\":\"Sequence\",\"decoders\":[" SPM_DECODE
                          ",{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}"
                        : "{\"type\":\"Sequence\",\"decoders\":[" SPM_DECODE "]}";
    } else {
        normal = s->pre->nfc ? "{\"type\":\"NFC\"}" : "null";
    }
    cut = s->spm ? json_new_null() : pre_name_cut(s->pre);
    if (json_set(t, "pre_tokenizer", cut) || json_set(t, "normalizer", piece(normal, e)) ||
        json_set(t, "post_processor", template_make(s)) || json_set(t, "decoder", piece(decode, e)))
        return err_set(e, ERR_SYS, "%s: out of memory for tokenizer.json", s->g->path);
    return 0;
}

/* bos_token and so on, by text. */
static int specials_set(const struct vocabulary *s, struct json *j)
{
    return (s->bos >= 0 && json_set_text(j, "bos_token", text_of(s, s->bos))) ||
                   (s->eos >= 0 && json_set_text(j, "eos_token", text_of(s, s->eos))) ||
                   (s->unk >= 0 && json_set_text(j, "unk_token", text_of(s, s->unk))) ||
                   (s->pad >= 0 && json_set_text(j, "pad_token", text_of(s, s->pad)))
               ? -1
               : 0;
}

static int config_fill(const struct vocabulary *s, struct json *c)
{
    const char *chat = json_as_text(json_get(s->g->meta, "tokenizer.chat_template"));
    const char *arch = json_as_text(json_get(s->g->meta, "general.architecture"));
    char key[128];
    int64_t context;

    snprintf(key, sizeof key, "%.64s.context_length", arch ? arch : "");
    if (json_as_int(json_get(s->g->meta, key), &context) == 0 &&
        json_set_int(c, "model_max_length", context))
        return -1;
    return (chat && json_set_text(c, "chat_template", chat)) || specials_set(s, c) ||
                   json_set_bool(c, "clean_up_tokenization_spaces", 0) ||
                   json_set_text(c, "tokenizer_class", "PreTrainedTokenizerFast")
               ? -1
               : 0;
}

/* Files made from a tokenizer.json say one score for all: the order of the merges is lost. */
static int scores_say_nothing(const struct vocabulary *s)
{
    const struct json *scores = json_get(s->g->meta, KEY("scores"));
    double first = 0, v = 0;
    int seen = 0;

    for (size_t i = 0; i < s->count; i++) {
        if (type_of(s, i) != TOKEN_NORMAL || json_as_real(json_at(scores, i), &v))
            continue;
        if (seen && v != first)
            return 0;
        first = v;
        seen = 1;
    }
    return 1;
}

static int parts_set(const struct vocabulary *s, struct gguf_tokenizer *t, struct err *e)
{
    struct json *list = json_new_array(), *map = json_new_object();
    int rc;

    if (!list || !map || added_make(s, list, map)) {
        json_destroy(&list);
        json_destroy(&map);
        return err_set(e, ERR_SYS, "%s: out of memory for the added tokens", s->g->path);
    }
    rc = json_set_text(t->tokenizer, "version", "1.0") ||
         json_set(t->tokenizer, "truncation", json_new_null()) ||
         json_set(t->tokenizer, "padding", json_new_null());
    rc = json_set(t->tokenizer, "added_tokens", list) || rc;
    rc = json_set(t->config, "added_tokens_decoder", map) || rc || config_fill(s, t->config) ||
         specials_set(s, t->special);
    return rc ? err_set(e, ERR_SYS, "%s: out of memory for the tokenizer", s->g->path) : 0;
}

int gguf_tokenizer_make(const struct gguf *g, const char *pre, struct gguf_tokenizer *t,
                        struct err *e)
{
    struct vocabulary s;
    struct json *model;

    memset(t, 0, sizeof *t);
    if (source_read(&s, g, pre, e))
        return -1;
    t->tokenizer = json_new_object();
    t->config = json_new_object();
    t->special = json_new_object();
    t->count = s.count;
    if (!t->tokenizer || !t->config || !t->special) {
        err_set(e, ERR_SYS, "%s: out of memory for the tokenizer", g->path);
        goto fail;
    }
    if (parts_set(&s, t, e) || steps_set(&s, t->tokenizer, e) || !(model = model_make(&s, e)))
        goto fail;
    if (json_set(t->tokenizer, "model", model)) {
        err_set(e, ERR_SYS, "%s: out of memory for tokenizer.json", g->path);
        goto fail;
    }
    if (s.spm && scores_say_nothing(&s))
        t->warning = "the file gives every token the same score: merges are ordered by token "
                     "number instead, tokens may differ from the "
                     "original tokenizer's";
    return 0;
fail:
    gguf_tokenizer_release(t);
    return -1;
}

void gguf_tokenizer_release(struct gguf_tokenizer *t)
{
    json_destroy(&t->tokenizer);
    json_destroy(&t->config);
    json_destroy(&t->special);
}
