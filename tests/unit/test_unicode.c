/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 against the table of the Unicode standard (3.9, table 3-7), normal forms, and the
 * patterns of tokenizers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../common/text/unicode.h"

#define BAD "\xEF\xBF\xBD"

static void broken_text_is_repaired(void **state)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"\xFF", BAD},
        {"a\x80z", "a" BAD "z"},
        {"\xC0\xAF", BAD BAD}, /* overlong */
        {"\xE0\x80\xAF", BAD BAD BAD},
        {"\xED\xA0\x80", BAD BAD BAD},         /* a surrogate */
        {"\xF4\x91\x92\x93", BAD BAD BAD BAD}, /* above U+10FFFF */
        /* table 3-11: one for each maximal part */
        {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF"
         "A",
         BAD BAD BAD BAD "A"},
        {"\xF0\x9F\x98", BAD}, /* cut off */
        {"\xC3\xA9\xF0\x9F\x98\x80", "\xC3\xA9\xF0\x9F\x98\x80"},
        {"", ""},
    };
    size_t i, n;

    (void)state;
    for (i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        char *out = unicode_repair(cases[i].in, strlen(cases[i].in), &n, &e);

        assert_non_null(out);
        assert_string_equal(out, cases[i].out);
        assert_int_equal(n, strlen(out));
        assert_int_equal(unicode_valid(out, n), n);
        assert_int_equal(unicode_valid(cases[i].in, strlen(cases[i].in)) == strlen(cases[i].in),
                         !strcmp(out, cases[i].in));
        free(out);
    }
    assert_int_equal(unicode_valid("abcdefghijklmnop\xFF", 17), 16);
    assert_int_equal(unicode_valid("a\0b", 3), 3);
}

static void every_character_comes_back(void **state)
{
    uint32_t c, got;
    char x[4];

    (void)state;
    for (c = 0; c <= 0x10FFFF; c++) {
        size_t n = c >= 0xD800 && c <= 0xDFFF ? 0 : unicode_put(c, x);

        if (!n)
            continue;
        if (unicode_char(x, n, &got) != n || got != c || unicode_valid(x, n) != n)
            fail_msg("U+%04X", c);
    }
}

static void kinds_of_characters(void **state)
{
    static const uint32_t spaces[] = {9,      10,     13,     0x20,   0x85,   0xA0,   0x1680,
                                      0x2000, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
    static const uint32_t others[] = {0, 8, 14, 'a', 0x180E, 0x200B, 0x2060, 0xFEFF};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof spaces / sizeof *spaces; i++)
        assert_true(unicode_is_space(spaces[i]));
    for (i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(unicode_is_space(others[i]));
    assert_true(unicode_is_word('a') && unicode_is_word('_') && unicode_is_word('7') &&
                unicode_is_word(0x4E00));
    assert_false(unicode_is_word('-') || unicode_is_word(' ') || unicode_is_word(0x2603));
}

static void expect_form(const char *in, enum unicode_form form, const char *want)
{
    struct err e = {0};
    size_t n;
    char *out = unicode_normalize(in, strlen(in), form, &n, &e);

    assert_non_null(out);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(out, want, n);
    free(out);
}

static void normal_forms(void **state)
{
    (void)state;
    expect_form("", UNICODE_NFC, "");
    expect_form("plain", UNICODE_NFKD, "plain");
    expect_form("e\xCC\x81", UNICODE_NFC, "\xC3\xA9");
    expect_form("\xC3\xA9", UNICODE_NFD, "e\xCC\x81");
    expect_form("\xEF\xAC\x81", UNICODE_NFC, "\xEF\xAC\x81");
    expect_form("\xEF\xAC\x81", UNICODE_NFKC, "fi");
    expect_form("\xE2\x84\xAB", UNICODE_NFKD, "A\xCC\x8A");
}

static void expect_match(const char *pattern, const char *text, size_t from, int want, size_t start,
                         size_t end)
{
    struct err e = {0};
    struct unicode_regex *r = unicode_regex_open(pattern, strlen(pattern), 0, "test", &e);
    size_t a = 0, b = 0;
    int got;

    assert_non_null(r);
    got = unicode_regex_next(r, text, strlen(text), from, &a, &b, &e);
    if (got != want || (got && (a != start || b != end)))
        fail_msg("'%s' on '%s': %d, %zu to %zu", pattern, text, got, a, b);
    unicode_regex_close(&r);
    unicode_regex_close(&r);
}

static void patterns(void **state)
{
    struct err e = {0};

    (void)state;
    assert_null(unicode_regex_open("(", 1, 0, "test", &e));
    assert_int_equal(e.kind, ERR_USE);
    assert_null(unicode_regex_open("", 0, 0, "test", &e));
    expect_match("\\s+(?!\\S)|\\s+", "a   b", 0, 1, 1, 3);
    expect_match("\\s+(?!\\S)|\\s+", "a   b", 3, 1, 3, 4);
    expect_match("\\s+",
                 "a\xE1\xA0\x8E"
                 "b",
                 0, 0, 0, 0); /* U+180E is no space */
    expect_match("\\S+", "\xE1\xA0\x8E ", 0, 1, 0, 3);
    expect_match("[^\\s\\p{L}]+", "ab \xE1\xA0\x8E", 0, 1, 3, 6);
    expect_match("\\s+", "a\xC2\x85", 0, 1, 1, 3);
    expect_match("\\p{L}+", "1\xD0\xBD\xD0\xB5 ", 0, 1, 1, 5);
    expect_match("x*", "aax", 0, 1, 2, 3);    /* empty matches are none */
    expect_match("b$", "ab\ncb", 0, 1, 1, 2); /* the end of a line */
    /* an escaped backslash keeps its s */
    expect_match("\\\\s", "\\s", 0, 1, 0, 2);
    expect_match("(?i:'LL)", "we'll", 0, 1, 2, 5);
}

static void literal_patterns(void **state)
{
    struct err e = {0};
    struct unicode_regex *r = unicode_regex_open("a.\\s", 4, 1, "test", &e);
    size_t a, b;

    (void)state;
    assert_non_null(r);
    assert_int_equal(unicode_regex_next(r, "abs a.\\s", 8, 0, &a, &b, &e), 1);
    assert_int_equal(a, 4);
    unicode_regex_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_text_is_repaired),
        cmocka_unit_test(every_character_comes_back),
        cmocka_unit_test(kinds_of_characters),
        cmocka_unit_test(normal_forms),
        cmocka_unit_test(patterns),
        cmocka_unit_test(literal_patterns),
    };

    return cmocka_run_group_tests_name("unicode", tests, NULL, NULL);
}
