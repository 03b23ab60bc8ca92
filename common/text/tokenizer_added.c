/* SPDX-License-Identifier: Apache-2.0 */
/* tokenizer_added - added tokens in a text: the leftmost, the longest of those, with what they
 * swallow on either side. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer_parts.h"

static int word_before(const char *text, size_t at)
{
    size_t i = at;
    uint32_t c;

    if (!at)
        return 0;
    do
        i--;
    while (i && ((unsigned char)text[i] & 0xC0) == 0x80);
    unicode_char(text + i, at - i, &c);
    return unicode_is_word(c);
}

static int word_after(const char *text, size_t n, size_t at)
{
    uint32_t c;

    if (at >= n)
        return 0;
    unicode_char(text + at, n - at, &c);
    return unicode_is_word(c);
}

static size_t spaces_before(const char *text, size_t from, size_t at)
{
    while (at > from) {
        size_t i = at;
        uint32_t c;

        do
            i--;
        while (i > from && ((unsigned char)text[i] & 0xC0) == 0x80);
        unicode_char(text + i, at - i, &c);
        if (!unicode_is_space(c))
            break;
        at = i;
    }
    return at;
}

static size_t spaces_after(const char *text, size_t n, size_t at)
{
    while (at < n) {
        uint32_t c;
        size_t step = unicode_char(text + at, n - at, &c);

        if (!unicode_is_space(c))
            break;
        at += step;
    }
    return at;
}

static const struct added *added_at(const struct tokenizer *t, int normalized, const char *text,
                                    size_t n)
{
    size_t i;

    for (i = 0; i < t->nadded; i++) {
        const struct added *a = &t->added[i];
        const struct text *x = normalized ? &a->norm : &a->raw;

        if (a->normalized == normalized && x->n && x->n <= n && !memcmp(text, x->data, x->n))
            return a;
    }
    return NULL;
}

int added_next(const struct tokenizer *t, int normalized, const char *text, size_t n, size_t from,
               struct span *span, int32_t *id)
{
    size_t at;

    for (at = from; at < n; at++) {
        const struct added *a;
        size_t end;

        if (!t->starts[normalized][(unsigned char)text[at]])
            continue;
        if (!(a = added_at(t, normalized, text + at, n - at)))
            continue;
        end = at + (normalized ? a->norm.n : a->raw.n);
        if (a->single_word && (word_before(text, at) || word_after(text, n, end))) {
            at = end - 1;
            continue;
        }
        span->start = a->lstrip ? spaces_before(text, from, at) : at;
        span->end = a->rstrip ? spaces_after(text, n, end) : end;
        *id = a->id;
        return 1;
    }
    return 0;
}

static int longer_first(const void *x, const void *y)
{
    const struct added *a = x, *b = y;
    size_t na = a->normalized ? a->norm.n : a->raw.n, nb = b->normalized ? b->norm.n : b->raw.n;

    if (na != nb)
        return na > nb ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

int added_prepare(struct tokenizer *t, struct err *e)
{
    size_t i;
    int lost;

    for (i = 0; i < t->nadded; i++) {
        struct added *a = &t->added[i];

        if (a->normalized && (text_copy(&a->norm, a->raw.data, a->raw.n, e) < 0 ||
                              text_normalize(t, &a->norm, &lost, e) < 0))
            return -1;
        if (a->normalized && a->norm.n)
            t->starts[1][(unsigned char)a->norm.data[0]] = 1;
        if (!a->normalized && a->raw.n)
            t->starts[0][(unsigned char)a->raw.data[0]] = 1;
    }
    if (t->nadded)
        qsort(t->added, t->nadded, sizeof *t->added, longer_first);
    return 0;
}
