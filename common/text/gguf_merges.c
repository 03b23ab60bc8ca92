/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_merges - merges of a SentencePiece BPE vocabulary, which holds scores instead.
 *
 * As the reference conversion to tokenizer.json does it: every way to split a piece into two
 * pieces of the vocabulary is a merge; merges are ordered by the piece's score, best first, then
 * by the ids of the piece and of its parts. */
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "gguf_tokenizer.h"

struct merge_rule {
    double score;
    int64_t piece, left, right;
    size_t cut; /* bytes of the left part */
};

struct maker {
    const struct json *tokens, *types, *vocab;
    struct merge_rule *list;
    size_t count, cap;
    char *part; /* room for a part of a piece */
    size_t room;
};

static int is_normal(const struct maker *k, int64_t id)
{
    int64_t type;

    return json_as_int(json_at(k->types, (size_t)id), &type) || type == TOKEN_NORMAL;
}

/* The id of n bytes of text as a normal piece, -1 when there is none. */
static int64_t piece_find(struct maker *k, const char *text, size_t n)
{
    int64_t id;

    memcpy(k->part, text, n);
    k->part[n] = '\0';
    return json_as_int(json_get(k->vocab, k->part), &id) || !is_normal(k, id) ? -1 : id;
}

static int piece_split(struct maker *k, int64_t id, double score, struct err *e)
{
    const char *text = json_as_text(json_at(k->tokens, (size_t)id));
    size_t n = strlen(text);

    if (n + 1 > k->room && mem_grow((void **)&k->part, &k->room, n + 1, 1, e))
        return -1;
    for (size_t cut = 1; cut < n; cut++) {
        int64_t left, right;

        if (((unsigned char)text[cut] & 0xC0) == 0x80) /* inside a character */
            continue;
        left = piece_find(k, text, cut);
        right = left < 0 ? -1 : piece_find(k, text + cut, n - cut);
        if (right < 0)
            continue;
        if (mem_grow((void **)&k->list, &k->cap, k->count + 1, sizeof *k->list, e))
            return -1;
        k->list[k->count++] = (struct merge_rule){score, id, left, right, cut};
    }
    return 0;
}

static int order(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int by_rank(const void *a, const void *b)
{
    const struct merge_rule *x = a, *y = b;
    int c = (x->score < y->score) - (x->score > y->score);

    c = c ? c : order(x->piece, y->piece);
    c = c ? c : order(x->left, y->left);
    return c ? c : order(x->right, y->right);
}

static struct json *merges_print(const struct maker *k, const char *what, struct err *e)
{
    struct json *list = json_new_array();

    for (size_t i = 0; list && i < k->count; i++) {
        const struct merge_rule *x = &k->list[i];
        const char *piece = json_as_text(json_at(k->tokens, (size_t)x->piece));
        char *text = mem_printf(e, "%.*s %s", (int)x->cut, piece, piece + x->cut);

        if (!text || json_push(list, json_new_text(text)))
            json_destroy(&list);
        free(text);
    }
    if (!list)
        err_set(e, ERR_SYS, "%s: out of memory for the merges", what);
    return list;
}

struct json *gguf_merges(const struct json *tokens, const struct json *scores,
                         const struct json *types, const struct json *vocab, const char *what,
                         struct err *e)
{
    struct maker k = {tokens, types, vocab, NULL, 0, 0, NULL, 0};
    struct json *list = NULL;

    if (json_kind(scores) != JSON_KIND_ARRAY || json_count(scores) != json_count(tokens)) {
        err_set(e, ERR_USE,
                "%s: key 'tokenizer.ggml.scores' must hold a score for each of the %zu tokens",
                what, json_count(tokens));
        return NULL;
    }
    for (size_t i = 0; i < json_count(tokens); i++) {
        double score;

        if (json_as_real(json_at(scores, i), &score)) {
            err_set(e, ERR_USE,
                    "%s: key 'tokenizer.ggml.scores': the score of token %zu is not a number", what,
                    i);
            goto out;
        }
        if (is_normal(&k, (int64_t)i) && !strchr(json_as_text(json_at(tokens, i)), ' ') &&
            piece_split(&k, (int64_t)i, score, e))
            goto out;
    }
    if (k.count)
        qsort(k.list, k.count, sizeof *k.list, by_rank);
    list = merges_print(&k, what, e);
out:
    free(k.list);
    free(k.part);
    return list;
}
