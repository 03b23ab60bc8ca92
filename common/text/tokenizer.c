/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer - encoding: text is cut at added tokens, normalized, cut again, split into pieces,
 * and each piece goes through the model. */
#include "tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "tokenizer_parts.h"

void tokenizer_close(struct tokenizer **t)
{
    struct tokenizer *x;
    size_t i;

    if (!t || !(x = *t))
        return;
    for (i = 0; i < x->nnorm; i++) {
        unicode_regex_close(&x->norm[i].find);
        charsmap_close(&x->norm[i].map);
        free(x->norm[i].put.data);
    }
    for (i = 0; i < x->npre; i++) {
        unicode_regex_close(&x->pre[i].find);
        free(x->pre[i].put.data);
    }
    for (i = 0; i < x->ndec; i++) {
        unicode_regex_close(&x->dec[i].find);
        free(x->dec[i].put.data);
    }
    for (i = 0; i < x->nadded; i++) {
        free(x->added[i].raw.data);
        free(x->added[i].norm.data);
    }
    free(x->added);
    free(x->front.id);
    free(x->back.id);
    unigram_destroy(&x->unigram);
    bpe_destroy(&x->bpe);
    free(x);
    *t = NULL;
}

size_t tokenizer_vocab(const struct tokenizer *t)
{
    return t->vocab;
}

size_t tokenizer_vocab_base(const struct tokenizer *t)
{
    return bpe_vocab(t->bpe);
}

uint64_t tokenizer_digest(const struct tokenizer *t)
{
    return t->digest;
}

size_t tokenizer_text_cost(const struct tokenizer *t)
{
    size_t splits = 0;

    for (size_t i = 0; i < t->npre; i++)
        splits += t->pre[i].kind == PRE_SPLIT;
    return splits || (!t->unigram && bpe_by_words(t->bpe)) ? 9 : 24; /* measured */
}

int32_t tokenizer_bos(const struct tokenizer *t)
{
    return t->front.count ? t->front.id[0] : -1;
}

/* As the vocabulary spells it, or an added token that is not in it; NULL: no such id. */
static const char *token_text(const struct tokenizer *t, int32_t id, size_t *n)
{
    const char *text = bpe_text(t->bpe, id, n);

    for (size_t i = 0; !text && i < t->nadded; i++)
        if (t->added[i].id == id) {
            *n = t->added[i].raw.n;
            text = t->added[i].raw.data;
        }
    return text;
}

int tokenizer_same_ids(const struct tokenizer *a, const struct tokenizer *b, int32_t *id)
{
    const size_t most = a->vocab < b->vocab ? a->vocab : b->vocab;

    for (*id = 0; a->digest != b->digest && (size_t)*id < most; (*id)++) {
        size_t na = 0, nb = 0;
        const char *x = token_text(a, *id, &na), *y = token_text(b, *id, &nb);

        if (x && y && (na != nb || memcmp(x, y, na) != 0))
            return 0;
    }
    return 1;
}

int32_t tokenizer_id(const struct tokenizer *t, const char *token)
{
    size_t i, n = strlen(token);

    for (i = 0; i < t->nadded; i++)
        if (t->added[i].raw.n == n && !memcmp(t->added[i].raw.data, token, n))
            return t->added[i].id;
    return bpe_find(t->bpe, token, n);
}

/* Text without added tokens (any more). */
static int encode_plain(const struct tokenizer *t, const char *text, size_t n, int start,
                        struct bpe_ids *ids, struct err *e)
{
    struct pieces x = {0};
    int rc = -1;
    size_t i;

    if (!n)
        return 0;
    if (text_copy(&x.text, text, n, e) < 0 || pieces_push(&x, 0, n, e) < 0 ||
        text_split(t, &x, start, e) < 0)
        goto out;
    for (i = 0; i < x.count; i++)
        if (model_encode(t, x.text.data + x.span[i].start, x.span[i].end - x.span[i].start, ids,
                         e) < 0)
            goto out;
    rc = 0;
out:
    pieces_release(&x);
    return rc;
}

/* Text that may hold normalized added tokens. */
static int encode_section(const struct tokenizer *t, const char *text, size_t n, int start,
                          int parse_added, struct bpe_ids *ids, struct err *e)
{
    struct text x = {0};
    struct span s;
    size_t at = 0;
    int32_t id;
    int rc = -1, lost;

    if (!n)
        return 0;
    if (text_copy(&x, text, n, e) < 0 || text_normalize(t, &x, &lost, e) < 0)
        goto out;
    start &= !lost;
    while (parse_added && added_next(t, 1, x.data, x.n, at, &s, &id)) {
        if (encode_plain(t, x.data + at, s.start - at, start && !at, ids, e) < 0 ||
            bpe_ids_push(ids, id, e) < 0)
            goto out;
        at = s.end;
    }
    rc = encode_plain(t, x.data + at, x.n - at, start && !at, ids, e);
out:
    free(x.data);
    return rc;
}

/* Places in a text whose tokens are counted as they come; `next` is the first that is open. */
struct places {
    const size_t *at;
    size_t n, next;
    size_t *tokens;
};

/* The places in text[from, end], whose tokens begin at ids->id[first]: a place inside is where
 * the section up to it has other tokens than the whole. */
static int places_count(const struct tokenizer *t, const char *text, size_t from, size_t end,
                        size_t first, const struct bpe_ids *ids, struct places *p, struct err *e)
{
    for (; p && p->next < p->n && p->at[p->next] <= end; p->next++) {
        const size_t at = p->at[p->next];
        struct bpe_ids part = {0};
        size_t same = 0;

        if (at > from && at < end) {
            if (encode_section(t, text + from, at - from, !from, 1, &part, e) < 0) {
                free(part.id);
                return -1;
            }
            while (same < part.count && first + same < ids->count &&
                   part.id[same] == ids->id[first + same])
                same++;
            free(part.id);
        }
        p->tokens[p->next] = at == end ? ids->count : first + same;
    }
    return 0;
}

/* places: NULL, or those in the text. */
static int encode_valid(const struct tokenizer *t, const char *text, size_t n, int parse_added,
                        struct places *places, struct bpe_ids *ids, struct err *e)
{
    struct span s;
    size_t at = 0, first;
    int32_t id;

    while (parse_added && added_next(t, 0, text, n, at, &s, &id)) {
        first = ids->count;
        if (encode_section(t, text + at, s.start - at, !at, parse_added, ids, e) < 0 ||
            places_count(t, text, at, s.start, first, ids, places, e) < 0 ||
            bpe_ids_push(ids, id, e) < 0)
            return -1;
        at = s.end;
        for (; places && places->next < places->n && places->at[places->next] < at; places->next++)
            places->tokens[places->next] = ids->count - 1; /* inside of the added token */
    }
    first = ids->count;
    if (encode_section(t, text + at, n - at, !at, parse_added, ids, e) < 0)
        return -1;
    return places_count(t, text, at, n, first, ids, places, e);
}

static int ids_add(struct bpe_ids *to, const struct bpe_ids *from, struct err *e)
{
    size_t i;

    for (i = 0; i < from->count; i++)
        if (bpe_ids_push(to, from->id[i], e) < 0)
            return -1;
    return 0;
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t length, int special,
                     int parse_added, int32_t **ids, size_t *count, struct err *e)
{
    struct bpe_ids out = {0};
    char *repaired = NULL;

    *ids = NULL;
    *count = 0;
    if (unicode_valid(text, length) != length) {
        if (!(repaired = unicode_repair(text, length, &length, e)))
            return -1;
        text = repaired;
    }
    if ((special && ids_add(&out, &t->front, e) < 0) ||
        encode_valid(t, text, length, parse_added, NULL, &out, e) < 0 ||
        (special && ids_add(&out, &t->back, e) < 0)) {
        free(out.id);
        free(repaired);
        return -1;
    }
    free(repaired);
    *ids = out.id;
    *count = out.count;
    return 0;
}

int tokenizer_encode_at(const struct tokenizer *t, const char *text, size_t length,
                        const size_t *at, size_t places, size_t *tokens, int32_t **ids,
                        size_t *count, struct err *e)
{
    struct places p = {at, places, 0, tokens};
    struct bpe_ids out = {0};

    *ids = NULL;
    *count = 0;
    if (encode_valid(t, text, length, 1, &p, &out, e) < 0) {
        free(out.id);
        return -1;
    }
    *ids = out.id;
    *count = out.count;
    return 0;
}

int32_t tokenizer_special(const struct tokenizer *t, const char *text, size_t length, size_t *n)
{
    for (size_t i = 0; i < t->nadded; i++) {
        const struct added *a = &t->added[i];

        if (a->special && a->raw.n && a->raw.n <= length && !memcmp(a->raw.data, text, a->raw.n)) {
            *n = a->raw.n;
            return a->id;
        }
    }
    return -1;
}
