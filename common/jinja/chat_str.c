/* SPDX-License-Identifier: Apache-2.0 */
/* chat_str - pieces of texts: they count in characters, strip what str.isspace() names. */
#include "chat_str.h"

#include <string.h>

#include "../text/unicode.h"

int str_same(struct str a, const char *b)
{
    return a.n == strlen(b) && !memcmp(a.p, b, a.n);
}

int str_equal(struct str a, struct str b)
{
    return a.n == b.n && !memcmp(a.p, b.p, a.n);
}

int str_space(uint32_t c)
{
    return (c >= 0x1c && c <= 0x1f) || unicode_is_space(c);
}

size_t str_chars(struct str s)
{
    size_t i, n = 0;

    for (i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

/* Byte offset of a character; the end when there are fewer. */
static size_t offset(struct str s, size_t chars)
{
    size_t i;

    for (i = 0; i < s.n; i++)
        if (((unsigned char)s.p[i] & 0xC0) != 0x80 && !chars--)
            break;
    return i;
}

struct str str_slice(struct str s, size_t from, size_t to)
{
    size_t start = offset(s, from), end = offset(s, to > from ? to : from);

    return (struct str){s.p + start, end - start};
}

static int stripped(const char *p, size_t n, const struct str *set)
{
    uint32_t c;
    size_t i;

    unicode_char(p, n, &c);
    if (!set)
        return str_space(c);
    for (i = 0; i + n <= set->n; i++)
        if (!memcmp(set->p + i, p, n))
            return 1;
    return 0;
}

struct str str_strip(struct str s, const struct str *set, int left, int right)
{
    uint32_t c;
    size_t i;

    while (left && s.n) {
        i = unicode_char(s.p, s.n, &c);
        if (!stripped(s.p, i, set))
            break;
        s.p += i;
        s.n -= i;
    }
    while (right && s.n) {
        for (i = s.n - 1; i && ((unsigned char)s.p[i] & 0xC0) == 0x80;)
            i--;
        if (!stripped(s.p + i, s.n - i, set))
            break;
        s.n = i;
    }
    return s;
}

size_t str_find(struct str s, struct str word, size_t from)
{
    const char *at;

    if (from > s.n || word.n > s.n - from)
        return SIZE_MAX;
    if (!word.n)
        return from;
    at = memmem(s.p + from, s.n - from, word.p, word.n);
    return at ? (size_t)(at - s.p) : SIZE_MAX;
}
