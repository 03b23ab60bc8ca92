/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_model - the model of tokenizer.json: BPE, Unigram or WordLevel, with its vocabulary.
 *
 * Left out: WordPiece, dropout, prefixes and suffixes of subwords; they are refused by name. */
#include <stdlib.h>
#include <string.h>

#include "../base/json.h"
#include "../base/mem.h"
#include "tokenizer_parts.h"

static int bpe_refuse(const struct json *m, const char *what, struct err *e)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    double dropout;
    size_t i;

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

/* {"token": id, ...}; with room for so many merges. */
static int vocab_parse(struct tokenizer *t, const struct json *m, size_t merges, const char *what,
                       struct err *e)
{
    const struct json *vocab = json_get(m, "vocab");

    if (json_kind(vocab) != JSON_KIND_OBJECT || !json_count(vocab))
        return err_set(e, ERR_USE, "%s: model without 'vocab'", what);
    if (!(t->bpe = bpe_create(json_count(vocab), merges, e)))
        return err_prefix(e, "%s", what);
    for (size_t i = 0; i < json_count(vocab); i++) {
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
    return 0;
}

static int unk_find(const struct tokenizer *t, const struct json *m, int32_t *id, const char *what,
                    struct err *e)
{
    const char *unk = json_as_text(json_get(m, "unk_token"));

    *id = -1;
    if (unk && *unk && (*id = bpe_find(t->bpe, unk, strlen(unk))) < 0)
        return err_set(e, ERR_USE, "%s: unk_token '%.60s' is not in the vocabulary", what, unk);
    return 0;
}

static int bpe_parse(struct tokenizer *t, const struct json *m, int byte_level, const char *what,
                     struct err *e)
{
    const struct json *merges = json_get(m, "merges");
    struct bpe_opts o = {.byte_level = byte_level};

    if (json_kind(merges) != JSON_KIND_ARRAY)
        return err_set(e, ERR_USE, "%s: model without 'vocab' or 'merges'", what);
    if (bpe_refuse(m, what, e) < 0 ||
        json_opt_bool(m, "byte_fallback", 0, &o.byte_fallback, what, e) < 0 ||
        json_opt_bool(m, "fuse_unk", 0, &o.fuse_unk, what, e) < 0 ||
        json_opt_bool(m, "ignore_merges", 0, &o.ignore_merges, what, e) < 0 ||
        vocab_parse(t, m, json_count(merges), what, e) < 0)
        return -1;
    for (size_t i = 0; i < json_count(merges); i++)
        if (merge_parse(t->bpe, json_at(merges, i), e) < 0)
            return err_prefix(e, "%s", what);
    if (unk_find(t, m, &o.unk, what, e) < 0)
        return -1;
    if (byte_level)
        o.byte_fallback = 0;
    return bpe_start(t->bpe, &o, e) < 0 ? err_prefix(e, "%s", what) : 0;
}

/* [["token", score], ...] */
static int scores_parse(struct tokenizer *t, const struct json *vocab, double *score,
                        const char *what, struct err *e)
{
    for (size_t i = 0; i < json_count(vocab); i++) {
        const struct json *pair = json_at(vocab, i), *token = json_at(pair, 0);
        const char *text = json_as_text(token);

        if (!text || json_as_real(json_at(pair, 1), &score[i]) < 0)
            return err_set(e, ERR_USE, "%s: token %zu is not a text and its score", what, i);
        if (!json_text_length(token))
            continue;
        if (bpe_add_token(t->bpe, text, json_text_length(token), (int64_t)i, e) < 0)
            return err_prefix(e, "%s", what);
    }
    return 0;
}

static int unigram_parse(struct tokenizer *t, const struct json *m, const char *what, struct err *e)
{
    const struct json *vocab = json_get(m, "vocab");
    const size_t n = json_count(vocab);
    struct unigram_opts o = {.unk = -1};
    double *score;
    int64_t unk;

    if (json_kind(vocab) != JSON_KIND_ARRAY || !n)
        return err_set(e, ERR_USE, "%s: model without 'vocab'", what);
    if (json_opt_int(m, "unk_id", 0, (int64_t)n - 1, -1, &unk, what, e) < 0 ||
        json_opt_bool(m, "byte_fallback", 0, &o.byte_fallback, what, e) < 0)
        return -1;
    o.unk = (int32_t)unk;
    if (!(t->bpe = bpe_create(n, 0, e)))
        return err_prefix(e, "%s", what);
    if (!(score = mem_array(n, sizeof *score, e)))
        return -1;
    if (scores_parse(t, vocab, score, what, e) == 0)
        t->unigram = unigram_create(t->bpe, score, &o, e);
    free(score);
    return t->unigram ? 0 : -1;
}

int model_parse(struct tokenizer *t, const struct json *m, int byte_level, const char *what,
                struct err *e)
{
    const char *type = json_as_text(json_get(m, "type"));

    if (json_kind(m) != JSON_KIND_OBJECT)
        return err_set(e, ERR_USE, "%s: no 'model'", what);
    if (type ? !strcmp(type, "BPE") : json_get(m, "merges") != NULL) /* early files say none */
        return bpe_parse(t, m, byte_level, what, e);
    if (!type || (strcmp(type, "Unigram") && strcmp(type, "WordLevel")))
        return err_set(e, ERR_USE, "%s: model '%s' is not known: BPE, Unigram and WordLevel are",
                       what, type ? type : "?");
    if (byte_level)
        return err_set(e, ERR_USE, "%s: ByteLevel before a model that is not BPE is not known",
                       what);
    if (!strcmp(type, "Unigram"))
        return unigram_parse(t, m, what, e);
    t->word_level = 1;
    return vocab_parse(t, m, 0, what, e) < 0 ? -1 : unk_find(t, m, &t->unk, what, e);
}

int model_encode(const struct tokenizer *t, const char *piece, size_t n, struct bpe_ids *ids,
                 struct err *e)
{
    int32_t id;

    if (t->unigram)
        return unigram_encode(t->unigram, piece, n, ids, e);
    if (!t->word_level)
        return bpe_encode(t->bpe, piece, n, ids, e);
    if ((id = bpe_find(t->bpe, piece, n)) < 0 && (id = t->unk) < 0)
        return err_set(e, ERR_USE,
                       "'%.*s' is not in the tokenizer's vocabulary, which has no unknown token",
                       (int)(n < 60 ? n : 60), piece);
    return bpe_ids_push(ids, id, e);
}
