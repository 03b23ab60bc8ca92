/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_ranks - a tiktoken file (a line for each token: its bytes in base64, its rank) into a
 * struct tokenizer.
 *
 * The file says neither how text is cut before tokens are merged nor what the special tokens are.
 * How it is cut is known of files that many models share, by how many ranks they have; the special
 * tokens are in "added_tokens_decoder" of tokenizer_config.json (tokenizer_json.c). */
#include <stdlib.h>
#include <string.h>

#include "../base/hash.h"
#include "../base/json.h"
#include "../base/mem.h"
#include "base64.h"
#include "pre_names.h"
#include "tokenizer.h"
#include "tokenizer_parts.h"
#include "tokenizer_rules.h"

static const struct {
    size_t ranks;
    const char *name;
} cuts[] = {{128000, "llama-bpe"}, {151329, "glm4"}, {151643, "qwen2"}, {199998, "gpt-4o"}};

int tokenizer_is_ranks(const char *text, size_t n)
{
    const char *space = memchr(text, ' ', n < 200 ? n : 200);

    const size_t left = space ? n - (size_t)(space - text) : 0;

    return left > 3 && space > text && space[1] == '0' &&
           (space[2] == '\n' || (space[2] == '\r' && space[3] == '\n'));
}

struct ranks {
    const char *text, *what;
    size_t n, lines;
};

/* The bytes of a token, each as the character that stands for it; returns how many bytes of out
 * they take, 0: they are none. */
static size_t bytes_spell(const char *base64, size_t n, char *out)
{
    unsigned char bytes[256];
    size_t count = n <= 320 ? base64_read(base64, n, bytes) : SIZE_MAX, used = 0;

    for (size_t i = 0; count != SIZE_MAX && i < count; i++)
        used += unicode_put(bpe_byte_char(bytes[i]), out + used);
    return used;
}

/* The number between two places, which may end with a carriage return; -1: none, or no id. */
static int64_t rank_read(const char *at, const char *stop)
{
    int64_t rank = at < stop ? 0 : -1;

    if (stop > at && stop[-1] == '\r')
        stop--;
    for (; at < stop && rank >= 0; at++)
        rank = *at < '0' || *at > '9' || rank > BPE_ID_MAX ? -1 : 10 * rank + (*at - '0');
    return rank;
}

/* All lines as tokens, with room for so many merges. NULL: *e says why. */
static struct bpe *vocab_read(const struct ranks *r, size_t merges, struct err *e)
{
    struct bpe *vocab = bpe_create(r->lines, merges, e);
    const char *at = r->text, *end = r->text + r->n;

    for (size_t line = 1; vocab && at < end; line++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at)), *stop = newline ? newline : end,
                   *space = memchr(at, ' ', (size_t)(stop - at));
        char spelled[512];
        size_t n = space ? bytes_spell(at, (size_t)(space - at), spelled) : 0;
        int64_t rank = n ? rank_read(space + 1, stop) : -1;

        if (rank < 0) {
            err_set(e, ERR_USE, "%s:%zu: not a token in base64 and its rank", r->what, line);
            bpe_destroy(&vocab);
        } else if (bpe_add_token(vocab, spelled, n, rank, e) < 0) {
            err_prefix(e, "%s:%zu", r->what, line);
            bpe_destroy(&vocab);
        }
        at = stop + 1;
    }
    return vocab;
}

/* A token is merged the sooner the lower its rank is. */
static int model_make(struct tokenizer *t, const struct ranks *r, struct err *e)
{
    const struct bpe_opts o = {.byte_level = 1, .ignore_merges = 1, .unk = -1};
    struct bpe *vocab = vocab_read(r, 0, e);
    double *score = vocab ? mem_array(bpe_vocab(vocab), sizeof *score, e) : NULL;
    struct rules rules = {0};
    int rc = -1;

    for (size_t i = 0; score && i < bpe_vocab(vocab); i++)
        score[i] = -(double)i;
    if (score && rules_find(&rules, vocab, score, NULL, 0, e) == 0 &&
        (t->bpe = vocab_read(r, rules.n, e)) && rules_add(&rules, t->bpe, e) == 0)
        rc = bpe_start(t->bpe, &o, e);
    rules_release(&rules);
    free(score);
    bpe_destroy(&vocab);
    return rc;
}

static int steps_make(struct tokenizer *t, const struct pre_name *pre, const char *what,
                      struct err *e)
{
    static const char nfc[] = "{\"type\":\"NFC\"}", bytes[] = "{\"type\":\"ByteLevel\"}";
    struct json *cut = pre_name_cut(pre), *form = json_parse(nfc, sizeof nfc - 1, what, e),
                *decoder = json_parse(bytes, sizeof bytes - 1, what, e);
    int byte_level = 0, rc = -1;

    if (!cut || !form || !decoder)
        err_set(e, ERR_SYS, "%s: no memory for the tokenizer", what);
    else if (pre_parse(t, cut, &byte_level, what, e) == 0 && dec_parse(t, decoder, what, e) == 0)
        rc = pre->nfc ? norm_parse(t, form, what, e) : 0;
    json_destroy(&cut);
    json_destroy(&form);
    json_destroy(&decoder);
    return rc;
}

struct tokenizer *tokenizer_ranks_parse(const char *text, size_t n, const char *what, int *bos,
                                        struct err *e)
{
    struct ranks r = {text, what, n, 0};
    const struct pre_name *pre = NULL;
    struct tokenizer *t;

    for (size_t i = 0; i < n; i++)
        r.lines += text[i] == '\n' || i + 1 == n;
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++)
        if (cuts[i].ranks == r.lines)
            pre = pre_name_find(cuts[i].name);
    if (!pre) {
        err_set(e, ERR_USE,
                "%s: a tiktoken file of %zu ranks does not say how text is cut, and is none of "
                "those of which it is known (Llama 3, GLM-4, Qwen, o200k): put the model's "
                "tokenizer.json beside it",
                what, r.lines);
        return NULL;
    }
    if (!(t = mem_array(1, sizeof *t, e)))
        return NULL;
    t->digest = hash_bytes(text, n);
    if (model_make(t, &r, e) < 0 || steps_make(t, pre, what, e) < 0)
        tokenizer_close(&t);
    else
        t->vocab = bpe_vocab(t->bpe);
    *bos = pre->bos;
    return t;
}
