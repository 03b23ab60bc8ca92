/* SPDX-License-Identifier: Apache-2.0 */
/* unicode - UTF-8 checks of our own, normal forms by utf8proc, regular expressions by pcre2.
 *
 * tokenizer.json patterns are written for Oniguruma (Ruby syntax). For the patterns in use pcre2
 * differs in two points only, which are levelled here: its \s knows U+180E, which Unicode no
 * longer counts as a space, and its $ needs to be told about lines. */
#define PCRE2_CODE_UNIT_WIDTH 8

#include "unicode.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "../base/mem.h"

#define PATTERN_MAX ((size_t)64 << 10)

/* ---- UTF-8 ---- */

/* Length of the valid sequence at p, or 0; *broken is then the length of its maximal valid
 * beginning (at least 1). */
static size_t utf8_step(const unsigned char *p, size_t n, size_t *broken)
{
    unsigned char low = 0x80, high = 0xBF;
    size_t want, i;

    *broken = 1;
    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    want = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] == 0xE0)
        low = 0xA0;
    if (p[0] == 0xED)
        high = 0x9F;
    if (p[0] == 0xF0)
        low = 0x90;
    if (p[0] == 0xF4)
        high = 0x8F;
    for (i = 1; i < want; i++) {
        if (i >= n || p[i] < low || p[i] > high) {
            *broken = i;
            return 0;
        }
        low = 0x80;
        high = 0xBF;
    }
    return want;
}

size_t unicode_valid(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t at = 0;

    while (at < n) {
        uint64_t eight;
        size_t step, broken;

        if (n - at >= sizeof eight) {
            memcpy(&eight, p + at, sizeof eight);
            if (!(eight & UINT64_C(0x8080808080808080))) {
                at += sizeof eight;
                continue;
            }
        }
        step = utf8_step(p + at, n - at, &broken);
        if (!step)
            return at;
        at += step;
    }
    return n;
}

const char *unicode_behind_marks(const char *text, size_t *n)
{
    while (*n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        *n -= 3;
    }
    return text;
}

size_t unicode_broken(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t count = 0;

    for (size_t at = unicode_valid(text, n), step, broken; at < n; at += step ? step : broken) {
        step = utf8_step(p + at, n - at, &broken);
        count += !step;
    }
    return count;
}

char *unicode_repair(const char *text, size_t n, size_t *length, struct err *e)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t at = 0, used = 0, room;
    char *out;

    if (mem_mul(n, 3, &room) < 0) {
        err_set(e, ERR_USE, "a text of %zu bytes is too long", n);
        return NULL;
    }
    if (!(out = mem_array(room + 1, 1, e)))
        return NULL;
    while (at < n) {
        size_t broken, step = utf8_step(p + at, n - at, &broken);

        if (step) {
            memcpy(out + used, p + at, step);
            used += step;
            at += step;
        } else {
            memcpy(out + used, "\xEF\xBF\xBD", 3);
            used += 3;
            at += broken;
        }
    }
    out[used] = 0;
    *length = used;
    return out;
}

size_t unicode_char(const char *text, size_t n, uint32_t *c)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t want = p[0] < 0x80 ? 1 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4, i;

    if (want > n)
        want = n;
    *c = want == 1 ? p[0] : want == 2 ? p[0] & 0x1Fu : want == 3 ? p[0] & 0x0Fu : p[0] & 0x07u;
    for (i = 1; i < want; i++)
        *c = *c << 6 | (p[i] & 0x3Fu);
    return want;
}

size_t unicode_put(uint32_t c, char out[4])
{
    utf8proc_ssize_t n = utf8proc_encode_char((utf8proc_int32_t)c, (utf8proc_uint8_t *)out);

    return n > 0 ? (size_t)n : 0;
}

int unicode_is_space(uint32_t c)
{
    if ((c >= 9 && c <= 13) || c == 0x20 || c == 0x85)
        return 1;
    if (c < 0xA0)
        return 0;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return 1;
    default:
        return 0;
    }
}

int unicode_is_word(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
        return 1;
    default:
        return c == 0x200C || c == 0x200D;
    }
}

size_t unicode_grapheme(const char *text, size_t n)
{
    utf8proc_int32_t state = 0;
    uint32_t before, c;
    size_t at = unicode_char(text, n, &before), step;

    for (; at < n; at += step) {
        step = unicode_char(text + at, n - at, &c);
        if (utf8proc_grapheme_break_stateful((utf8proc_int32_t)before, (utf8proc_int32_t)c, &state))
            break;
        before = c;
    }
    return at;
}

/* ---- normal forms ---- */

char *unicode_lower(const char *text, size_t n, size_t *length, struct err *e)
{
    size_t room, used = 0, at, step;
    uint32_t c;
    char *out;

    if (mem_mul(n, 4, &room) < 0) {
        err_set(e, ERR_USE, "a text of %zu bytes is too long", n);
        return NULL;
    }
    if (!(out = mem_array(room + 1, 1, e)))
        return NULL;
    for (at = 0; at < n; at += step) {
        step = unicode_char(text + at, n - at, &c);
        if (c == 0x130) { /* the only one that becomes two: i with a dot above */
            memcpy(out + used, "i\xCC\x87", 3);
            used += 3;
        } else {
            used += unicode_put((uint32_t)utf8proc_tolower((utf8proc_int32_t)c), out + used);
        }
    }
    out[used] = 0;
    *length = used;
    return out;
}

static int is_ascii(const char *text, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        if ((unsigned char)text[i] >= 0x80)
            return 0;
    return 1;
}

char *unicode_normalize(const char *text, size_t n, enum unicode_form form, size_t *length,
                        struct err *e)
{
    static const utf8proc_option_t options[] = {
        [UNICODE_NFC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
        [UNICODE_NFD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
        [UNICODE_NFKC] = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT,
        [UNICODE_NFKD] = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT,
    };
    utf8proc_uint8_t *out = NULL;
    utf8proc_ssize_t r;

    if (is_ascii(text, n)) {
        char *same = mem_array(n + 1, 1, e);

        if (!same)
            return NULL;
        memcpy(same, text, n);
        *length = n;
        return same;
    }
    r = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n, &out, options[form]);
    if (r < 0) {
        err_set(e, r == UTF8PROC_ERROR_NOMEM ? ERR_SYS : ERR_USE, "cannot normalize a text: %s",
                utf8proc_errmsg(r));
        return NULL;
    }
    *length = (size_t)r;
    return (char *)out;
}

/* ---- regular expressions ---- */

struct unicode_regex {
    pcre2_code *code;
    pcre2_match_data *match;
};

/* White_Space written out, to stand inside a class. */
#define SPACES "\\p{Z}\\t-\\r\\x{85}"

/* Of words, likewise: pcre2's \w lacks marks and most connectors. Oniguruma counts the superscript
 * digits and fractions of Latin-1 among them, and no others. */
#define WORDS "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{B2}\\x{B3}\\x{B9}\\x{BC}-\\x{BE}"

/* The pattern with \s, \w (anywhere), \S, \W (outside classes) spelled out. *out has room. */
static size_t pattern_spell(const char *p, size_t n, char *out)
{
    size_t i, used = 0;
    int class = 0;

    for (i = 0; i < n; i++) {
        const char *put = NULL;

        if (p[i] == '\\' && i + 1 < n) {
            if (p[i + 1] == 's')
                put = class ? SPACES : "[" SPACES "]";
            if (p[i + 1] == 'S' && !class)
                put = "[^" SPACES "]";
            if (p[i + 1] == 'w')
                put = class ? WORDS : "[" WORDS "]";
            if (p[i + 1] == 'W' && !class)
                put = "[^" WORDS "]";
            if (put) {
                memcpy(out + used, put, strlen(put));
                used += strlen(put);
            } else {
                out[used++] = p[i];
                out[used++] = p[i + 1];
            }
            i++;
            continue;
        }
        if (p[i] == '[')
            class = 1;
        if (p[i] == ']')
            class = 0;
        out[used++] = p[i];
    }
    return used;
}

struct unicode_regex *unicode_regex_open(const char *pattern, size_t length, int literal,
                                         const char *what, struct err *e)
{
    struct unicode_regex *r = NULL;
    char *spelled = NULL;
    size_t n = length;
    PCRE2_SIZE at;
    int code;

    if (!length || length > PATTERN_MAX) {
        err_set(e, ERR_USE, "%s: a pattern of %zu bytes: empty or too long", what, length);
        return NULL;
    }
    if (!(spelled = mem_array(length + 1, sizeof WORDS + 3, e)) ||
        !(r = mem_array(1, sizeof *r, e)))
        goto out;
    if (literal)
        memcpy(spelled, pattern, length);
    else
        n = pattern_spell(pattern, length, spelled);
    r->code =
        pcre2_compile((PCRE2_SPTR)spelled, n,
                      literal ? PCRE2_UTF | PCRE2_LITERAL
                              : PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                      &code, &at, NULL);
    if (!r->code) {
        PCRE2_UCHAR why[160] = "";

        pcre2_get_error_message(code, why, sizeof why);
        err_set(e, ERR_USE, "%s: cannot compile the pattern '%.200s': %s", what, pattern,
                (const char *)why);
        unicode_regex_close(&r);
        goto out;
    }
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* without JIT the match is only slower */
    if (!(r->match = pcre2_match_data_create_from_pattern(r->code, NULL))) {
        err_set(e, ERR_SYS, "%s: no memory for a pattern", what);
        unicode_regex_close(&r);
    }
out:
    free(spelled);
    return r;
}

void unicode_regex_close(struct unicode_regex **r)
{
    if (!r || !*r)
        return;
    pcre2_match_data_free((*r)->match);
    pcre2_code_free((*r)->code);
    free(*r);
    *r = NULL;
}

int unicode_regex_next(struct unicode_regex *r, const char *text, size_t n, size_t from,
                       size_t *start, size_t *end, struct err *e)
{
    uint32_t options = PCRE2_NO_UTF_CHECK;

    while (from < n) {
        int code = pcre2_match(r->code, (PCRE2_SPTR)text, n, from, options, r->match, NULL);
        const PCRE2_SIZE *v = pcre2_get_ovector_pointer(r->match);

        if (code == PCRE2_ERROR_NOMATCH)
            return 0;
        if (code == PCRE2_ERROR_JIT_STACKLIMIT && !(options & PCRE2_NO_JIT)) {
            options |= PCRE2_NO_JIT;
            continue;
        }
        if (code < 0) {
            PCRE2_UCHAR why[160] = "";

            pcre2_get_error_message(code, why, sizeof why);
            return err_set(e, ERR_USE, "cannot split a text with the tokenizer's pattern: %s",
                           (const char *)why);
        }
        if (v[1] > v[0] && v[0] >= from) {
            *start = v[0];
            *end = v[1];
            return 1;
        }
        if (v[0] >= n)
            return 0;
        from = (v[0] > from ? v[0] : from);
        from += unicode_char(text + from, n - from, &(uint32_t){0});
    }
    return 0;
}
