/* SPDX-License-Identifier: Apache-2.0 */
/* bpe - see bpe.h. Two open-addressed tables (token text -> id, pair of ids -> rank and id), a
 * heap over a linked list of symbols. A piece is cut where no token reaches over: whole documents
 * (SentencePiece style) are encoded word by word, with the memory of a word.
 *
 * Left out: dropout, prefixes and suffixes of subwords; the reader of tokenizer.json refuses
 * them. */
#include "bpe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../base/hash.h"
#include "../base/mem.h"
#include "unicode.h"

#define CACHE_SLOTS 32768
#define CACHE_KEY 32
#define CACHE_IDS 12

struct token {
    size_t at; /* in the pool of texts */
    uint32_t n;
    int32_t known;
};

struct merge {
    uint64_t key; /* left id, right id; an empty slot has rank -1 */
    int32_t rank, id;
};

struct symbol {
    int32_t id; /* -1: merged into its left neighbour */
    int32_t prev, next;
};

struct pair { /* stale when the symbols at that place make another pair, or none, by now */
    int32_t rank, at;
};

struct cached {
    unsigned char n, count; /* n 0: empty */
    char key[CACHE_KEY];
    int32_t id[CACHE_IDS];
};

struct bpe {
    struct bpe_opts o;
    char *pool;
    size_t pool_used, pool_cap;
    struct token *token; /* by id */
    size_t ntoken, token_cap;
    int32_t *slot; /* text table: id or -1 */
    size_t slots, tokens;
    struct merge *merge;
    size_t merge_slots, merges;
    /* of a byte: by its character (byte level) or by its name (fallback); -1: none */
    int32_t byte_id[256];
    int bytes_whole; /* all of byte_id are there */
    /* pairs of bytes that stand beside each other in a token, the second of them the first of a
     * character; cuts: a piece may be cut between two that do not */
    unsigned char beside[256 * 256 / 8];
    int cuts;
    struct cached *cache;
    struct symbol *symbol;
    size_t symbol_cap, symbols;
    struct pair *heap;
    size_t heap_cap, heaped;
    char *spelled;
    size_t spelled_cap;
};

/* ---- bytes as characters ---- */

static int byte_is_itself(unsigned c)
{
    return (c >= 0x21 && c <= 0x7E) || (c >= 0xA1 && c <= 0xAC) || (c >= 0xAE && c <= 0xFF);
}

uint32_t bpe_byte_char(unsigned char byte)
{
    uint32_t c = 256;
    unsigned b;

    if (byte_is_itself(byte))
        return byte;
    for (b = 0; b < byte; b++)
        c += !byte_is_itself(b);
    return c;
}

int bpe_char_byte(uint32_t c)
{
    unsigned b;

    if (c < 256)
        return byte_is_itself(c) ? (int)c : -1;
    for (b = 0, c -= 256; b < 256; b++)
        if (!byte_is_itself(b) && c-- == 0)
            return (int)b;
    return -1;
}

/* ---- tables ---- */

int bpe_ids_push(struct bpe_ids *ids, int32_t id, struct err *e)
{
    void *p = ids->id;

    if (ids->count == ids->cap) {
        if (mem_grow(&p, &ids->cap, ids->count + 1, sizeof *ids->id, e) < 0)
            return -1;
        ids->id = p;
    }
    ids->id[ids->count++] = id;
    return 0;
}

static size_t table_slots(size_t count)
{
    size_t n = 16;

    while (n < count + count / 2)
        n *= 2;
    return n;
}

struct bpe *bpe_create(size_t tokens, size_t merges, struct err *e)
{
    struct bpe *b;
    size_t i;

    if (tokens > BPE_ID_MAX || merges > 4 * (size_t)BPE_ID_MAX) {
        err_set(e, ERR_USE, "a vocabulary of %zu tokens and %zu merges is too large", tokens,
                merges);
        return NULL;
    }
    if (!(b = mem_array(1, sizeof *b, e)))
        return NULL;
    b->slots = table_slots(tokens);
    b->merge_slots = table_slots(merges);
    b->slot = mem_array(b->slots, sizeof *b->slot, e);
    b->merge = b->slot ? mem_array(b->merge_slots, sizeof *b->merge, e) : NULL;
    b->cache = b->merge ? mem_array(CACHE_SLOTS, sizeof *b->cache, e) : NULL;
    if (!b->cache) {
        bpe_destroy(&b);
        return NULL;
    }
    for (i = 0; i < b->slots; i++)
        b->slot[i] = -1;
    for (i = 0; i < b->merge_slots; i++)
        b->merge[i].rank = -1;
    return b;
}

void bpe_destroy(struct bpe **b)
{
    if (!b || !*b)
        return;
    free((*b)->pool);
    free((*b)->token);
    free((*b)->slot);
    free((*b)->merge);
    free((*b)->cache);
    free((*b)->symbol);
    free((*b)->heap);
    free((*b)->spelled);
    free(*b);
    *b = NULL;
}

/* The slot of a text, or the empty one where it would stand. */
static size_t text_slot(const struct bpe *b, const char *text, size_t n)
{
    size_t i = (size_t)hash_bytes(text, n) & (b->slots - 1);

    while (b->slot[i] >= 0) {
        const struct token *t = &b->token[b->slot[i]];

        if (t->n == n && !memcmp(b->pool + t->at, text, n))
            break;
        i = (i + 1) & (b->slots - 1);
    }
    return i;
}

int32_t bpe_find(const struct bpe *b, const char *text, size_t n)
{
    return n ? b->slot[text_slot(b, text, n)] : -1;
}

const char *bpe_text(const struct bpe *b, int64_t id, size_t *n)
{
    if (id < 0 || (size_t)id >= b->ntoken || !b->token[id].known)
        return NULL;
    *n = b->token[id].n;
    return b->pool + b->token[id].at;
}

size_t bpe_vocab(const struct bpe *b)
{
    return b->ntoken;
}

int bpe_add_token(struct bpe *b, const char *text, size_t n, int64_t id, struct err *e)
{
    const int shown = n < 60 ? (int)n : 60; /* no NUL need follow it */
    void *p;
    size_t slot;

    if (id < 0 || id >= BPE_ID_MAX)
        return err_set(e, ERR_USE, "token '%.*s': id %lld is out of range", shown, text,
                       (long long)id);
    if (!n || n > UINT16_MAX)
        return err_set(e, ERR_USE, "token %lld is a text of %zu bytes", (long long)id, n);
    if ((size_t)id < b->ntoken && b->token[id].known)
        return err_set(e, ERR_USE, "token '%.*s': id %lld is taken by another", shown, text,
                       (long long)id);
    if (b->tokens + 1 >= b->slots)
        return err_set(e, ERR_USE, "more tokens than were announced");
    slot = text_slot(b, text, n);
    if (b->slot[slot] >= 0)
        return err_set(e, ERR_USE, "token '%.*s' stands there twice", shown, text);
    p = b->token;
    if ((size_t)id >= b->token_cap &&
        mem_grow(&p, &b->token_cap, (size_t)id + 1, sizeof *b->token, e) < 0)
        return -1;
    b->token = p;
    if ((size_t)id >= b->ntoken) {
        memset(b->token + b->ntoken, 0, ((size_t)id + 1 - b->ntoken) * sizeof *b->token);
        b->ntoken = (size_t)id + 1;
    }
    p = b->pool;
    if (mem_grow(&p, &b->pool_cap, b->pool_used + n, 1, e) < 0)
        return -1;
    b->pool = p;
    memcpy(b->pool + b->pool_used, text, n);
    b->token[id] = (struct token){b->pool_used, (uint32_t)n, 1};
    b->pool_used += n;
    b->slot[slot] = (int32_t)id;
    b->tokens++;
    return 0;
}

static struct merge *merge_slot(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint64_t h = key * UINT64_C(0x9E3779B97F4A7C15);
    size_t i = (size_t)(h ^ h >> 32) & (b->merge_slots - 1);

    while (b->merge[i].rank >= 0 && b->merge[i].key != key)
        i = (i + 1) & (b->merge_slots - 1);
    return &b->merge[i];
}

int bpe_add_merge(struct bpe *b, const char *left, size_t nleft, const char *right, size_t nright,
                  struct err *e)
{
    int32_t l = bpe_find(b, left, nleft), r = bpe_find(b, right, nright), both;
    struct merge *m;
    void *p = b->spelled;

    if (b->merges + 1 >= b->merge_slots)
        return err_set(e, ERR_USE, "more merges than were announced");
    if (l < 0 || r < 0)
        return err_set(e, ERR_USE, "merge %zu: '%.*s' is not in the vocabulary", b->merges,
                       l < 0 ? (int)nleft : (int)nright, l < 0 ? left : right);
    if (mem_grow(&p, &b->spelled_cap, nleft + nright, 1, e) < 0)
        return -1;
    b->spelled = p;
    memcpy(b->spelled, left, nleft);
    memcpy(b->spelled + nleft, right, nright);
    if ((both = bpe_find(b, b->spelled, nleft + nright)) < 0)
        return err_set(e, ERR_USE, "merge %zu: '%.*s' is not in the vocabulary", b->merges,
                       (int)(nleft + nright), b->spelled);
    m = merge_slot(b, l, r);
    m->key = (uint64_t)(uint32_t)l << 32 | (uint32_t)r;
    /* of a pair that stands there twice the later rank holds, as in the reference */
    m->rank = (int32_t)b->merges++;
    m->id = both;
    return 0;
}

/* ---- cutting ---- */

static int is_first(char byte) /* of a character */
{
    return ((unsigned char)byte & 0xC0) != 0x80;
}

static unsigned beside_bit(const char *at)
{
    return (unsigned)(unsigned char)at[-1] << 8 | (unsigned char)at[0];
}

static int are_beside(const struct bpe *b, const char *at)
{
    return b->beside[beside_bit(at) / 8] >> beside_bit(at) % 8 & 1;
}

/* "<0x0A>", by its looks. */
static int is_byte(const struct bpe *b, int32_t id)
{
    const struct token *t = &b->token[id];
    const char *text = b->pool + t->at;

    return t->n == 6 && !memcmp(text, "<0x", 3) && text[5] == '>';
}

/* No merge reaches over a place that is inside of no token, so the parts on either side are
 * encoded alike alone. Not so where symbols have other texts than the characters that they stand
 * for and still merge, where unknown ones vanish or become one with their neighbours. */
static void cuts_find(struct bpe *b)
{
    const int bytes = b->o.byte_fallback && b->bytes_whole;

    b->cuts =
        !b->o.byte_level && !b->o.ignore_merges && (bytes || (b->o.unk >= 0 && !b->o.fuse_unk));
    for (size_t i = 0; b->cuts && i < b->merge_slots; i++) {
        const struct merge *m = &b->merge[i];
        const int32_t left = (int32_t)(m->key >> 32), right = (int32_t)(m->key & UINT32_MAX);

        if (m->rank >= 0)
            b->cuts =
                left != b->o.unk && right != b->o.unk && !is_byte(b, left) && !is_byte(b, right);
    }
    for (size_t id = 0; b->cuts && id < b->ntoken; id++) {
        const char *text = b->pool + b->token[id].at;

        for (size_t i = 1; i < b->token[id].n; i++)
            if (is_first(text[i]))
                b->beside[beside_bit(text + i) / 8] |=
                    (unsigned char)(1u << beside_bit(text + i) % 8);
    }
}

/* Where the part of a piece ends that begins at `from`. */
static size_t part_end(const struct bpe *b, const char *piece, size_t n, size_t from)
{
    size_t i = from + 1;

    while (i < n && (!is_first(piece[i]) || are_beside(b, piece + i)))
        i++;
    return i;
}

int bpe_by_words(const struct bpe *b)
{
    char pair[2] = {'a', '\xE2'};
    int open = 0;

    for (; b->cuts && pair[0] <= 'z'; pair[0]++)
        open += !are_beside(b, pair + 1);
    return open > 13; /* most letters may stand in front of it */
}

int bpe_start(struct bpe *b, const struct bpe_opts *o, struct err *e)
{
    int i;

    b->o = *o;
    if (o->unk >= 0 && (size_t)o->unk >= b->ntoken)
        return err_set(e, ERR_USE, "the unknown token is not in the vocabulary");
    b->bytes_whole = 1;
    for (i = 0; i < 256; i++) {
        char name[8];
        size_t n = o->byte_level ? unicode_put(bpe_byte_char((unsigned char)i), name)
                                 : (size_t)snprintf(name, sizeof name, "<0x%02X>", (unsigned)i);

        b->byte_id[i] = bpe_find(b, name, n);
        if (b->byte_id[i] < 0)
            b->bytes_whole = 0;
    }
    cuts_find(b);
    return 0;
}

/* ---- the heap: lowest rank first, leftmost of equals ---- */

static int pair_before(const struct pair *a, const struct pair *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static int heap_push(struct bpe *b, struct pair p, struct err *e)
{
    size_t i = b->heaped;
    void *q = b->heap;

    if (b->heaped == b->heap_cap &&
        mem_grow(&q, &b->heap_cap, b->heaped + 1, sizeof *b->heap, e) < 0)
        return -1;
    b->heap = q;
    b->heaped++;
    while (i && pair_before(&p, &b->heap[(i - 1) / 2])) {
        b->heap[i] = b->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    b->heap[i] = p;
    return 0;
}

static struct pair heap_pop(struct bpe *b)
{
    struct pair top = b->heap[0], last = b->heap[--b->heaped];
    size_t i = 0, child;

    while ((child = 2 * i + 1) < b->heaped) {
        if (child + 1 < b->heaped && pair_before(&b->heap[child + 1], &b->heap[child]))
            child++;
        if (!pair_before(&b->heap[child], &last))
            break;
        b->heap[i] = b->heap[child];
        i = child;
    }
    b->heap[i] = last;
    return top;
}

/* ---- encoding ---- */

static int symbol_push(struct bpe *b, int32_t id, struct err *e)
{
    void *p = b->symbol;
    size_t i = b->symbols;

    if (i == b->symbol_cap && mem_grow(&p, &b->symbol_cap, i + 1, sizeof *b->symbol, e) < 0)
        return -1;
    b->symbol = p;
    b->symbol[i] = (struct symbol){id, (int32_t)i - 1, (int32_t)i + 1};
    b->symbols++;
    return 0;
}

/* Pushes what stands for characters without a token. */
static int push_unknown(struct bpe *b, const char *c, size_t n, int *fusing, struct err *e)
{
    size_t i;

    if (b->o.byte_fallback && b->bytes_whole) {
        *fusing = 0;
        for (i = 0; i < n; i++)
            if (symbol_push(b, b->byte_id[(unsigned char)c[i]], e) < 0)
                return -1;
        return 0;
    }
    if (b->o.unk < 0 || (*fusing && b->o.fuse_unk))
        return 0;
    *fusing = 1;
    return symbol_push(b, b->o.unk, e);
}

static int symbols_read(struct bpe *b, const char *piece, size_t n, struct err *e)
{
    size_t at = 0;
    int fusing = 0;

    b->symbols = 0;
    while (at < n) {
        uint32_t c;
        size_t step = b->o.byte_level ? 1 : unicode_char(piece + at, n - at, &c);
        int32_t id =
            b->o.byte_level ? b->byte_id[(unsigned char)piece[at]] : bpe_find(b, piece + at, step);

        if (id >= 0) {
            fusing = 0;
            if (symbol_push(b, id, e) < 0)
                return -1;
        } else if (push_unknown(b, piece + at, step, &fusing, e) < 0) {
            return -1;
        }
        at += step;
    }
    if (b->symbols)
        b->symbol[b->symbols - 1].next = -1;
    return 0;
}

static int pair_offer(struct bpe *b, int32_t at, struct err *e)
{
    int32_t next = at < 0 ? -1 : b->symbol[at].next;
    const struct merge *m;

    if (next < 0)
        return 0;
    m = merge_slot(b, b->symbol[at].id, b->symbol[next].id);
    if (m->rank < 0)
        return 0;
    return heap_push(b, (struct pair){m->rank, at}, e);
}

static int symbols_merge(struct bpe *b, struct err *e)
{
    size_t i;

    b->heaped = 0;
    for (i = 0; i + 1 < b->symbols; i++)
        if (pair_offer(b, (int32_t)i, e) < 0)
            return -1;
    while (b->heaped) {
        struct pair p = heap_pop(b);
        struct symbol *left = &b->symbol[p.at], *right;
        const struct merge *m;

        if (left->id < 0 || left->next < 0)
            continue;
        right = &b->symbol[left->next];
        m = merge_slot(b, left->id, right->id);
        if (m->rank != p.rank) /* each pair has its own */
            continue;
        left->id = m->id;
        left->next = right->next;
        right->id = -1;
        if (left->next >= 0)
            b->symbol[left->next].prev = p.at;
        if (pair_offer(b, left->prev, e) < 0 || pair_offer(b, p.at, e) < 0)
            return -1;
    }
    return 0;
}

/* The id of a piece that is a token as it stands, -1 when it is none. */
static int piece_whole(struct bpe *b, const char *piece, size_t n, int32_t *id, struct err *e)
{
    size_t i, used = 0;
    void *p = b->spelled;

    if (!b->o.byte_level) {
        *id = bpe_find(b, piece, n);
        return 0;
    }
    if (mem_grow(&p, &b->spelled_cap, 2 * n + 4, 1, e) < 0)
        return -1;
    b->spelled = p;
    for (i = 0; i < n; i++)
        used += unicode_put(bpe_byte_char((unsigned char)piece[i]), b->spelled + used);
    *id = bpe_find(b, b->spelled, used);
    return 0;
}

static int encode_fresh(struct bpe *b, const char *piece, size_t n, struct bpe_ids *ids,
                        struct err *e)
{
    int32_t at, whole = -1;

    if (b->o.ignore_merges && piece_whole(b, piece, n, &whole, e) < 0)
        return -1;
    if (whole >= 0)
        return bpe_ids_push(ids, whole, e);
    if (symbols_read(b, piece, n, e) < 0 || symbols_merge(b, e) < 0)
        return -1;
    for (at = b->symbols ? 0 : -1; at >= 0; at = b->symbol[at].next)
        if (bpe_ids_push(ids, b->symbol[at].id, e) < 0)
            return -1;
    return 0;
}

static int part_encode(struct bpe *b, const char *piece, size_t n, struct bpe_ids *ids,
                       struct err *e)
{
    size_t first = ids->count, count, i;
    struct cached *c = NULL;

    if (n <= CACHE_KEY) {
        c = &b->cache[hash_bytes(piece, n) & (CACHE_SLOTS - 1)];
        if (c->n == n && !memcmp(c->key, piece, n)) {
            for (i = 0; i < c->count; i++)
                if (bpe_ids_push(ids, c->id[i], e) < 0)
                    return -1;
            return 0;
        }
    }
    if (encode_fresh(b, piece, n, ids, e) < 0)
        return -1;
    count = ids->count - first;
    if (c && count <= CACHE_IDS) {
        c->n = (unsigned char)n;
        c->count = (unsigned char)count;
        memcpy(c->key, piece, n);
        memcpy(c->id, ids->id + first, count * sizeof *c->id);
    }
    return 0;
}

int bpe_encode(struct bpe *b, const char *piece, size_t n, struct bpe_ids *ids, struct err *e)
{
    size_t at = 0, end;

    if (n >= INT32_MAX)
        return err_set(e, ERR_USE, "a text of %zu bytes in one piece is too long", n);
    for (; at < n; at = end) {
        end = b->cuts ? part_end(b, piece, n, at) : n;
        if (part_encode(b, piece + at, end - at, ids, e) < 0)
            return -1;
    }
    return 0;
}
