/* SPDX-License-Identifier: Apache-2.0 */
/* unigram - see unigram.h. Viterbi over the bytes of the piece; tokens that begin at a place are
 * found in the sorted vocabulary, whose range narrows byte by byte. */
#include "unigram.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "unicode.h"

#define UNKNOWN_COSTS 10.0

struct word {
    const char *text; /* the vocabulary's */
    size_t n;
    double score;
    int32_t id;
};

struct node { /* the best path that ends at a byte */
    double score;
    int32_t from, id; /* from -1: none ends here */
};

struct unigram {
    struct unigram_opts o;
    struct word *word; /* sorted */
    size_t words;
    size_t first[257]; /* words that begin with byte b: [first[b], first[b + 1]) */
    double unknown;
    int32_t byte_id[256];
    int bytes_whole;
    const struct bpe *vocab;
    struct node *node;
    size_t node_cap;
};

static int by_text(const void *x, const void *y)
{
    const struct word *a = x, *b = y;
    int order = memcmp(a->text, b->text, a->n < b->n ? a->n : b->n);

    return order ? order : a->n < b->n ? -1 : a->n > b->n;
}

static void bytes_find(struct unigram *u)
{
    char name[8];

    u->bytes_whole = 1;
    for (int i = 0; i < 256; i++) {
        snprintf(name, sizeof name, "<0x%02X>", (unsigned)i);
        u->byte_id[i] = bpe_find(u->vocab, name, strlen(name));
        u->bytes_whole &= u->byte_id[i] >= 0;
    }
}

struct unigram *unigram_create(const struct bpe *vocab, const double *score,
                               const struct unigram_opts *o, struct err *e)
{
    const size_t most = bpe_vocab(vocab);
    struct unigram *u = mem_array(1, sizeof *u, e);
    double least = INFINITY;
    size_t i, b;

    if (!u)
        return NULL;
    u->o = *o;
    u->vocab = vocab;
    if (!(u->word = mem_array(most + 1, sizeof *u->word, e))) {
        unigram_destroy(&u);
        return NULL;
    }
    for (i = 0; i < most; i++) {
        struct word *w = &u->word[u->words];

        if (!(w->text = bpe_text(vocab, (int64_t)i, &w->n)))
            continue;
        w->id = (int32_t)i;
        w->score = score[i];
        least = w->score < least ? w->score : least;
        u->words++;
    }
    qsort(u->word, u->words, sizeof *u->word, by_text);
    for (i = b = 0; b < 256; b++) {
        u->first[b] = i;
        while (i < u->words && (unsigned char)u->word[i].text[0] == b)
            i++;
    }
    u->first[256] = i;
    u->unknown = least - UNKNOWN_COSTS;
    bytes_find(u);
    return u;
}

void unigram_destroy(struct unigram **u)
{
    if (!u || !*u)
        return;
    free((*u)->word);
    free((*u)->node);
    free(*u);
    *u = NULL;
}

/* The first of words [low, high), all longer than k and alike in front of it, whose byte k is at
 * least c. */
static size_t byte_bound(const struct unigram *u, size_t low, size_t high, size_t k, unsigned c)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if ((unsigned char)u->word[middle].text[k] < c)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void path_offer(struct unigram *u, size_t from, size_t to, double score, int32_t id)
{
    struct node *x = &u->node[to];

    if (x->from >= 0 && !(u->node[from].score + score > x->score))
        return;
    *x = (struct node){u->node[from].score + score, (int32_t)from, id};
}

/* Every token that begins at a place, then the unknown character. */
static int paths_offer(struct unigram *u, const char *piece, size_t n, size_t at, struct err *e)
{
    const size_t step = unicode_char(piece + at, n - at, &(uint32_t){0});
    unsigned c = (unsigned char)piece[at];
    size_t low = u->first[c], high = u->first[c + 1], k = 1;
    int single = 0;

    for (; low < high; k++) {
        if (u->word[low].n == k) {
            path_offer(u, at, at + k, u->word[low].score, u->word[low].id);
            single |= k == step;
            low++;
        }
        if (at + k == n)
            break;
        c = (unsigned char)piece[at + k];
        low = byte_bound(u, low, high, k, c);
        high = byte_bound(u, low, high, k, c + 1);
    }
    if (single)
        return 0;
    if (u->o.unk < 0)
        return err_set(e, ERR_USE,
                       "the character '%.*s' is not in the tokenizer's vocabulary, which has no "
                       "unknown token",
                       (int)step, piece + at);
    path_offer(u, at, at + step, u->unknown, u->o.unk);
    return 0;
}

/* Unknown text; a vocabulary may spell it as a token all the same, when neighbours make one. */
static int unknown_push(struct unigram *u, const char *text, size_t n, struct bpe_ids *ids,
                        struct err *e)
{
    int32_t id = bpe_find(u->vocab, text, n);

    if (id >= 0 || !u->o.byte_fallback || !u->bytes_whole)
        return bpe_ids_push(ids, id >= 0 ? id : u->o.unk, e);
    for (size_t i = 0; i < n; i++)
        if (bpe_ids_push(ids, u->byte_id[(unsigned char)text[i]], e) < 0)
            return -1;
    return 0;
}

/* Turns the links round: node[i].from of the best path becomes where the token at i ends. */
static void path_turn(struct unigram *u, size_t n)
{
    int32_t at = (int32_t)n, next = -1, id = -1;

    while (at >= 0) {
        struct node *x = &u->node[at];
        int32_t before = at ? x->from : -1, own = x->id;

        x->from = next;
        x->id = id;
        next = at;
        id = own;
        at = before;
    }
}

int unigram_encode(struct unigram *u, const char *piece, size_t n, struct bpe_ids *ids,
                   struct err *e)
{
    void *p = u->node;
    size_t at = 0, end;

    if (!n)
        return 0;
    if (n >= INT32_MAX)
        return err_set(e, ERR_USE, "a text of %zu bytes in one piece is too long", n);
    if (mem_grow(&p, &u->node_cap, n + 1, sizeof *u->node, e) < 0)
        return -1;
    u->node = p;
    for (size_t i = 0; i <= n; i++)
        u->node[i] = (struct node){0, -1, -1};
    while (at < n) {
        if (paths_offer(u, piece, n, at, e) < 0)
            return -1;
        at += unicode_char(piece + at, n - at, &(uint32_t){0});
    }
    path_turn(u, n);
    for (at = 0; at < n; at = end) {
        end = (size_t)u->node[at].from;
        if (u->o.unk < 0 || u->node[at].id != u->o.unk) {
            if (bpe_ids_push(ids, u->node[at].id, e) < 0)
                return -1;
            continue;
        }
        while (end < n && u->node[end].id == u->o.unk)
            end = (size_t)u->node[end].from;
        if (unknown_push(u, piece + at, end - at, ids, e) < 0)
            return -1;
    }
    return 0;
}
