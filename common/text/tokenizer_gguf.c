/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_gguf - byte-level BPE becomes "gpt2", the cut before it by its name (pre_names.h);
 * SentencePiece-style BPE becomes "llama", whose scores say the order of the merges: a token has
 * that of the first merge that makes it. Left out: Unigram, WordLevel. */
#include "tokenizer_gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/fs.h"
#include "../base/mem.h"
#include "pre_names.h"
#include "model_file.h"
#include "tokenizer.h"
#include "tokenizer_parts.h"

#define KEY(name) "tokenizer.ggml." name
#define TEMPLATE_MAX ((size_t)1 << 20)
#define SPACE "\xE2\x96\x81" /* U+2581 */

enum { TYPE_NORMAL = 1, TYPE_UNKNOWN, TYPE_CONTROL, TYPE_USER, TYPE_UNUSED, TYPE_BYTE };

struct source {
    const char *dir;
    const struct json *model;   /* config.json */
    struct json *json, *config; /* tokenizer.json, tokenizer_config.json (NULL: not there) */
    struct tokenizer *t;
    int spm;
    const struct added **added; /* [rows] by id */
    size_t rows;
    struct gguf_meta *m;
};

static int source_open(struct source *s, struct err *e)
{
    char *path = fs_join(s->dir, "tokenizer.json", e);
    int rc = -1;

    if (!path)
        goto out;
    if (!model_file_is(s->dir, "tokenizer.json")) {
        err_set(e, ERR_USE, "'%s' has no tokenizer.json, and a GGUF file holds the tokenizer",
                s->dir);
        goto out;
    }
    if (!(s->t = tokenizer_open(s->dir, e)) ||
        !(s->json = model_file_json(s->dir, "tokenizer.json", e)) ||
        (model_file_is(s->dir, "tokenizer_config.json") &&
         !(s->config = model_file_json(s->dir, "tokenizer_config.json", e))) ||
        !(s->added = mem_array(s->rows, sizeof *s->added, e)))
        goto out;
    if (s->t->vocab > s->rows) {
        err_set(e, ERR_USE, "%s: %zu tokens, the embedding has %zu rows", path, s->t->vocab,
                s->rows);
        goto out;
    }
    if (s->t->unigram || s->t->word_level) {
        err_set(e, ERR_USE,
                "%s: the model is '%s'; only tokenizers of BPE can be written to a GGUF file", path,
                json_text_or(json_get(s->json, "model"), "type", "?"));
        goto out;
    }
    json_as_bool(json_get(json_get(s->json, "model"), "byte_fallback"), &s->spm);
    for (size_t i = 0; i < s->t->nadded; i++)
        s->added[s->t->added[i].id] = &s->t->added[i];
    rc = 0;
out:
    free(path);
    return rc;
}

static void source_close(struct source *s)
{
    tokenizer_close(&s->t);
    json_destroy(&s->json);
    json_destroy(&s->config);
    free(s->added);
}

/* ---- tokens ---- */

/* <0x0A> */
static int is_byte(const char *text, size_t n)
{
    unsigned v;
    char end;

    return n == 6 && sscanf(text, "<0x%2X%c", &v, &end) == 2 && end == '>';
}

static int32_t type_of(const struct source *s, size_t id, int32_t unk)
{
    const struct added *a = s->added[id];
    size_t n = 0;
    const char *text = bpe_text(s->t->bpe, (int64_t)id, &n);

    if (s->spm && (int32_t)id == unk)
        return TYPE_UNKNOWN;
    if (a)
        return a->special ? TYPE_CONTROL : TYPE_USER;
    if (!text)
        return TYPE_UNUSED;
    return s->spm && is_byte(text, n) ? TYPE_BYTE : TYPE_NORMAL;
}

/* llama.cpp looks for the user's tokens in the text as it comes: spaces are spaces there. */
static int user_add(const struct source *s, const struct added *a, struct err *e)
{
    char *text = mem_array(a->raw.n + 1, 1, e), *to = text;
    size_t i = 0;
    int rc;

    if (!text)
        return -1;
    while (i < a->raw.n) {
        const int space = s->spm && a->raw.n - i >= 3 && memcmp(a->raw.data + i, SPACE, 3) == 0;

        *to++ = space ? ' ' : a->raw.data[i];
        i += space ? 3 : 1;
    }
    rc = gguf_meta_item(s->m, text, (size_t)(to - text), e);
    free(text);
    return rc;
}

static int token_add(const struct source *s, size_t id, struct err *e)
{
    const struct added *a = s->added[id];
    size_t n;
    const char *text = bpe_text(s->t->bpe, (int64_t)id, &n);
    char pad[32];

    if (a)
        return a->special ? gguf_meta_item(s->m, a->raw.data, a->raw.n, e) : user_add(s, a, e);
    if (text)
        return gguf_meta_item(s->m, text, n, e);
    n = (size_t)snprintf(pad, sizeof pad, "[PAD%zu]", id);
    return gguf_meta_item(s->m, pad, n, e);
}

static int tokens_add(const struct source *s, int32_t unk, struct err *e)
{
    int32_t *types = mem_array(s->rows, sizeof *types, e);
    int rc = types ? gguf_meta_texts(s->m, KEY("tokens"), s->rows, e) : -1;

    for (size_t i = 0; rc == 0 && i < s->rows; i++) {
        types[i] = type_of(s, i, unk);
        rc = token_add(s, i, e);
    }
    rc = rc ? -1 : gguf_meta_i32s(s->m, KEY("token_type"), types, s->rows, e);
    free(types);
    return rc;
}

/* ---- merges ---- */

/* The two sides of a merge: [left, right], or "left right". Tokens may hold spaces themselves: then
 * the cut is the first that leaves two tokens. */
static int merge_sides(const struct source *s, const struct json *j, const char *side[2],
                       size_t n[2])
{
    const char *text = json_as_text(j);
    const size_t length = json_text_length(j);

    if (!text) {
        for (size_t i = 0; i < 2; i++) {
            side[i] = json_as_text(json_at(j, i));
            n[i] = json_text_length(json_at(j, i));
        }
        return side[0] && side[1] ? 0 : -1;
    }
    for (size_t i = 1; i + 1 < length; i++) {
        side[0] = text;
        n[0] = i;
        side[1] = text + i + 1;
        n[1] = length - i - 1;
        if (text[i] == ' ' && bpe_find(s->t->bpe, side[0], n[0]) >= 0 &&
            bpe_find(s->t->bpe, side[1], n[1]) >= 0)
            return 0;
    }
    return -1;
}

static int merge_read(const struct source *s, size_t i, char **joined, size_t *left, size_t *n,
                      struct err *e)
{
    const struct json *merges = json_get(json_get(s->json, "model"), "merges");
    const char *side[2];
    size_t length[2];

    if (merge_sides(s, json_at(merges, i), side, length))
        return err_set(e, ERR_USE, "%s: merge %zu of tokenizer.json is not a pair of tokens",
                       s->dir, i);
    *left = length[0];
    *n = length[0] + length[1];
    if (!(*joined = mem_array(*n + 2, 1, e)))
        return -1;
    memcpy(*joined, side[0], length[0]);
    memcpy(*joined + length[0], side[1], length[1]);
    return 0;
}

static int merges_add(const struct source *s, struct err *e)
{
    const size_t count = json_count(json_get(json_get(s->json, "model"), "merges"));
    char *text = NULL;
    size_t left, n;
    int rc = gguf_meta_texts(s->m, KEY("merges"), count, e);

    for (size_t i = 0; rc == 0 && i < count; i++) {
        if ((rc = merge_read(s, i, &text, &left, &n, e)))
            break;
        memmove(text + left + 1, text + left, n - left);
        text[left] = ' ';
        rc = memchr(text, ' ', left) || memchr(text + left + 1, ' ', n - left)
                 ? err_set(e, ERR_USE, "%s: merge %zu of tokenizer.json holds a space", s->dir, i)
                 : gguf_meta_item(s->m, text, n + 1, e);
        free(text);
    }
    return rc;
}

static int scores_add(const struct source *s, struct err *e)
{
    const size_t count = json_count(json_get(json_get(s->json, "model"), "merges"));
    float *scores = mem_array(s->rows, sizeof *scores, e);
    char *text = NULL;
    size_t left, n;
    int rc = scores ? 0 : -1;

    for (size_t i = count; rc == 0 && i-- > 0;) { /* the first that makes a token comes last */
        int32_t id;

        if ((rc = merge_read(s, i, &text, &left, &n, e)))
            break;
        if ((id = bpe_find(s->t->bpe, text, n)) >= 0)
            scores[id] = -(float)(i + 1);
        free(text);
    }
    rc = rc ? -1 : gguf_meta_f32s(s->m, KEY("scores"), scores, s->rows, e);
    free(scores);
    return rc;
}

static int is_ordinary(const struct source *s, const char *text, size_t n)
{
    const int32_t id = bpe_find(s->t->bpe, text, n);

    return id >= 0 && !s->added[id];
}

/* llama.cpp merges whatever makes a token, SentencePiece's way; here a pair must be a merge. It is
 * the same where every pair that makes a token is one, and each is there once: then there are as
 * many. */
static int splits_check(const struct source *s, struct err *e)
{
    const size_t count = json_count(json_get(json_get(s->json, "model"), "merges"));
    size_t splits = 0;

    for (size_t id = 0; id < s->rows; id++) {
        size_t n = 0;
        const char *text = bpe_text(s->t->bpe, (int64_t)id, &n);

        for (size_t i = 1; text && !s->added[id] && !is_byte(text, n) && i < n; i++)
            splits += ((unsigned char)text[i] & 0xC0) != 0x80 && is_ordinary(s, text, i) &&
                      is_ordinary(s, text + i, n - i);
    }
    return splits == count
               ? 0
               : err_set(e, ERR_USE,
                         "%s: tokenizer.json has %zu merges where a SentencePiece model of its "
                         "tokens has %zu: llama.cpp would cut text otherwise",
                         s->dir, count, splits);
}

/* ---- special tokens ---- */

/* By its text in tokenizer_config.json, else by its number in config.json; -1: none. */
static int64_t special_id(const struct source *s, const char *name)
{
    const struct json *j = json_get(s->config, name);
    const char *text = json_as_text(j) ? json_as_text(j) : json_as_text(json_get(j, "content"));
    int64_t id = text ? tokenizer_id(s->t, text) : -1;
    char key[32];

    if (id >= 0)
        return id;
    snprintf(key, sizeof key, "%s_id", name);
    j = json_get(s->model, key);
    j = json_kind(j) == JSON_KIND_ARRAY ? json_at(j, 0) : j;
    return json_as_int(j, &id) == 0 && id >= 0 && (uint64_t)id < s->rows ? id : -1;
}

/* What the post-processor adds at one end: nothing, or the one token that is said. */
static int end_add(const struct source *s, const struct bpe_ids *ids, int64_t id, const char *name,
                   struct err *e)
{
    char key[64];

    if (ids->count > 1 || (ids->count == 1 && id >= 0 && ids->id[0] != id))
        return err_set(e, ERR_USE,
                       "%s: the tokenizer puts other tokens than %s_token around a text, which a "
                       "GGUF file cannot say",
                       s->dir, name);
    if (ids->count == 1)
        id = ids->id[0];
    snprintf(key, sizeof key, KEY("%s_token_id"), name);
    if (id >= 0 && gguf_meta_u32(s->m, key, (uint64_t)id, e))
        return -1;
    snprintf(key, sizeof key, KEY("add_%s_token"), name);
    return gguf_meta_bool(s->m, key, ids->count == 1, e);
}

static int specials_add(const struct source *s, int32_t unk, struct err *e)
{
    const int64_t pad = special_id(s, "pad_token");

    if (end_add(s, &s->t->front, special_id(s, "bos_token"), "bos", e) ||
        end_add(s, &s->t->back, special_id(s, "eos_token"), "eos", e) ||
        (unk >= 0 && gguf_meta_u32(s->m, KEY("unknown_token_id"), (uint64_t)unk, e)))
        return -1;
    return pad >= 0 ? gguf_meta_u32(s->m, KEY("padding_token_id"), (uint64_t)pad, e) : 0;
}

/* ---- the two kinds ---- */

static int gpt2_add(const struct source *s, struct err *e)
{
    const struct json *model = json_get(s->json, "model");
    const struct pre_name *pre;
    int ignore = 0, nfc = 0;

    json_as_bool(json_get(model, "ignore_merges"), &ignore);
    for (size_t i = 0; i < s->t->nnorm; i++) {
        if (s->t->norm[i].kind != NORM_FORM || s->t->norm[i].form != UNICODE_NFC)
            return err_set(e, ERR_USE,
                           "%s: tokenizer.json normalizes text otherwise than by NFC, which "
                           "llama.cpp does not do",
                           s->dir);
        nfc = 1;
    }
    if (!(pre = pre_name_of(json_get(s->json, "pre_tokenizer"), nfc, ignore, e)))
        return err_prefix(e, "%s: tokenizer.json", s->dir);
    return gguf_meta_text(s->m, KEY("model"), "gpt2", e) ||
                   gguf_meta_text(s->m, KEY("pre"), pre->name, e) || merges_add(s, e)
               ? -1
               : 0;
}

static int is_space(const struct text *x)
{
    return x->n == 3 && memcmp(x->data, SPACE, 3) == 0;
}

/* Gemma cuts behind spaces, of which its normalizer has left none. */
static int cuts_nothing(const struct source *s)
{
    const struct json *pre = json_get(s->json, "pre_tokenizer");
    const struct json *norm = json_get(s->json, "normalizer");
    const char *space = json_text_or(json_get(pre, "pattern"), "String", "");

    return strcmp(json_text_or(pre, "type", ""), "Split") == 0 && strcmp(space, " ") == 0 &&
           strcmp(json_text_or(norm, "type", ""), "Replace") == 0 &&
           strcmp(json_text_or(json_get(norm, "pattern"), "String", ""), " ") == 0;
}

static int spm_add(const struct source *s, struct err *e)
{
    int prefix = 0, odd = 0;

    for (size_t i = 0; i < s->t->nnorm; i++) {
        const struct norm_step *x = &s->t->norm[i];

        odd |= x->kind == NORM_FORM || !is_space(&x->put);
        prefix |= x->kind == NORM_PREPEND;
    }
    for (size_t i = 0; !cuts_nothing(s) && i < s->t->npre; i++) {
        const struct pre_step *x = &s->t->pre[i];

        odd |= x->kind != PRE_META || !is_space(&x->put);
        prefix |= x->kind == PRE_META && x->prefix != META_NEVER;
    }
    if (odd)
        return err_set(e, ERR_USE,
                       "%s: tokenizer.json changes or cuts text in a way that llama.cpp does not "
                       "know of SentencePiece tokenizers",
                       s->dir);
    return splits_check(s, e) || gguf_meta_text(s->m, KEY("model"), "llama", e) ||
                   gguf_meta_text(s->m, KEY("pre"), "default", e) ||
                   gguf_meta_bool(s->m, KEY("add_space_prefix"), prefix, e) || scores_add(s, e)
               ? -1
               : 0;
}

/* chat_template.jinja, else what tokenizer_config.json has: a text, or several with names. */
static int chat_add(const struct source *s, struct err *e)
{
    const struct json *t = json_get(s->config, "chat_template");
    char *path = fs_join(s->dir, "chat_template.jinja", e), *text = NULL;
    size_t n;
    int rc = -1;

    if (!path || (fs_is_named(path) && !(text = fs_read(path, TEMPLATE_MAX, &n, e))))
        goto out;
    for (size_t i = 0; !text && json_kind(t) == JSON_KIND_ARRAY && i < json_count(t); i++)
        if (strcmp(json_text_or(json_at(t, i), "name", ""), "default") == 0) {
            t = json_get(json_at(t, i), "template");
            break;
        }
    rc = 0;
    if (text || json_as_text(t))
        rc = gguf_meta_text(s->m, "tokenizer.chat_template", text ? text : json_as_text(t), e);
out:
    free(text);
    free(path);
    return rc;
}

int tokenizer_gguf(const char *dir, size_t rows, const struct json *config, struct gguf_meta *m,
                   struct err *e)
{
    struct source s = {.dir = dir, .model = config, .rows = rows, .m = m};
    int rc = -1;

    if (source_open(&s, e) == 0) {
        const int32_t unk = (int32_t)special_id(&s, "unk_token");

        rc = (s.spm ? spm_add(&s, e) : gpt2_add(&s, e)) || tokens_add(&s, unk, e) ||
                     specials_add(&s, unk, e) || chat_add(&s, e)
                 ? -1
                 : 0;
    }
    source_close(&s);
    return rc;
}
