/* SPDX-License-Identifier: Apache-2.0 */
/* charsmap - see charsmap.h. The trie is that of the Darts-clone library: 32-bit units, in each
 * the byte that led there, whether a word ends, and where the next ones lie. */
#include "charsmap.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "base64.h"
#include "unicode.h"

enum { GRAPHEME_SHORT = 6 }; /* bytes: clusters below are looked up whole */

struct charsmap {
    uint32_t *unit;
    size_t units;
    char *pool; /* texts, each with a NUL behind it; one more behind all */
    size_t pool_n;
};

void charsmap_close(struct charsmap **m)
{
    if (!m || !*m)
        return;
    free((*m)->unit);
    free((*m)->pool);
    free(*m);
    *m = NULL;
}

struct charsmap *charsmap_open(const void *data, size_t n, const char *what, struct err *e)
{
    const unsigned char *p = data;
    struct charsmap *m = NULL;
    uint32_t trie;

    if (n < 8 || (trie = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24,
                  trie > n - 4 || trie < 4 || trie % 4)) {
        err_set(e, ERR_USE, "%s: precompiled_charsmap is no such table", what);
        return NULL;
    }
    if (!(m = mem_array(1, sizeof *m, e)))
        return NULL;
    m->units = trie / 4;
    m->pool_n = n - 4 - trie;
    if (!(m->unit = mem_array(m->units, sizeof *m->unit, e)) ||
        !(m->pool = mem_array(m->pool_n + 1, 1, e))) {
        charsmap_close(&m);
        return NULL;
    }
    for (size_t i = 0; i < m->units; i++)
        for (size_t k = 0; k < 4; k++)
            m->unit[i] |= (uint32_t)p[4 + 4 * i + k] << (8 * k);
    memcpy(m->pool, p + 4 + trie, m->pool_n);
    if (unicode_valid(m->pool, m->pool_n) != m->pool_n) {
        err_set(e, ERR_USE, "%s: precompiled_charsmap holds texts that are not UTF-8", what);
        charsmap_close(&m);
    }
    return m;
}

struct charsmap *charsmap_parse(const char *base64, size_t n, const char *what, struct err *e)
{
    unsigned char *data = mem_array(n / 4 * 3 + 4, 1, e);
    struct charsmap *m = NULL;
    size_t used;

    if (!data)
        return NULL;
    if ((used = base64_read(base64, n, data)) == SIZE_MAX)
        err_set(e, ERR_USE, "%s: precompiled_charsmap is not base64", what);
    else
        m = charsmap_open(data, used, what, e);
    free(data);
    return m;
}

static size_t unit_offset(uint32_t unit)
{
    return (size_t)(unit >> 10) << ((unit & 1u << 9) >> 6);
}

/* What the shortest entry with which the text begins becomes; NULL: there is none. */
static const char *map_find(const struct charsmap *m, const char *text, size_t n)
{
    size_t at = unit_offset(m->unit[0]);

    for (size_t i = 0; i < n && text[i]; i++) {
        uint32_t unit;

        at ^= (unsigned char)text[i];
        if (at >= m->units)
            return NULL;
        unit = m->unit[at];
        if ((unit & (1u << 31 | 0xFF)) != (unsigned char)text[i])
            return NULL;
        at ^= unit_offset(unit);
        if (unit >> 8 & 1) {
            size_t value = at < m->units ? m->unit[at] & ~(1u << 31) : SIZE_MAX;

            if (value > m->pool_n || ((unsigned char)m->pool[value] & 0xC0) == 0x80)
                return NULL;
            return m->pool + value;
        }
    }
    return NULL;
}

struct grown {
    char *data;
    size_t n, cap;
};

static int grown_add(struct grown *g, const char *text, size_t n, struct err *e)
{
    void *p = g->data;

    if (mem_grow(&p, &g->cap, g->n + n + 1, 1, e) < 0)
        return -1;
    g->data = p;
    if (n)
        memcpy(g->data + g->n, text, n);
    g->n += n;
    return 0;
}

char *charsmap_apply(const struct charsmap *m, const char *text, size_t n, size_t *length,
                     struct err *e)
{
    struct grown g = {0};
    size_t at, step;

    if (grown_add(&g, "", 0, e) < 0)
        return NULL;
    for (at = 0; at < n; at += step) {
        const char *to;
        size_t one;

        step = unicode_grapheme(text + at, n - at);
        if (step < GRAPHEME_SHORT && (to = map_find(m, text + at, step))) {
            if (grown_add(&g, to, strlen(to), e) < 0)
                goto fail;
            continue;
        }
        for (size_t i = 0; i < step; i += one) {
            one = unicode_char(text + at + i, step - i, &(uint32_t){0});
            to = map_find(m, text + at + i, one);
            if (grown_add(&g, to ? to : text + at + i, to ? strlen(to) : one, e) < 0)
                goto fail;
        }
    }
    g.data[g.n] = 0;
    *length = g.n;
    return g.data;
fail:
    free(g.data);
    return NULL;
}
