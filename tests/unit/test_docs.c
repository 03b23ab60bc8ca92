/* SPDX-License-Identifier: Apache-2.0 */
/* test_docs - data files: what is refused, by line, then what is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../common/text/docs.h"

static char path[64];

static const char *file(const char *end, const char *text, size_t n)
{
    FILE *f;

    snprintf(path, sizeof path, "/tmp/ptq-docs-%ld.%s", (long)getpid(), end);
    f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
    return path;
}

static struct data_file from;

static struct docs *opened(const char *name, enum docs_bad bad, struct err *e)
{
    const struct docs_opts o = {.bad_lines = bad, .bad_chats = bad};

    return data_file_open(&from, name, e) == 0 ? docs_open(&from, &o, e) : NULL;
}

static void closed(struct docs **r)
{
    docs_close(r);
    assert_null(*r);
    data_file_close(&from);
    unlink(path);
}

/* The given line is the one that is refused. */
static void refused(const char *text, const char *where, const char *word)
{
    struct err e = {0};
    struct docs *r = opened(file("jsonl", text, strlen(text)), DOCS_BAD_REFUSE, &e);
    struct doc d;
    int got;

    assert_non_null(r);
    while ((got = docs_next(r, &d, &e)) == 1)
        doc_release(&d);
    assert_int_equal(got, -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, where) || !strstr(e.text, word))
        fail_msg("'%s' does not name '%s' and '%s'", e.text, where, word);
    assert_non_null(strstr(e.text, "--bad-lines skip"));
    closed(&r);
}

static void test_refused(void **state)
{
    struct err e = {0};

    (void)state;
    assert_null(opened("/nonexistent/x.jsonl", DOCS_BAD_REFUSE, &e));
    data_file_close(&from);
    assert_int_equal(e.kind, ERR_USE);
    assert_null(opened("tests/unit/test_docs.c", DOCS_BAD_REFUSE, &e));
    data_file_close(&from);
    assert_non_null(strstr(e.text, ".jsonl"));
    refused("{\"text\": \"a\"}\n{\"text\": 3}\n", ":2", "text");
    refused("\n\n{\"other\": 1}\n", ":3", "input_ids");
    refused("{\"text\": \"a\", \"input_ids\": [1]}\n", ":1", "either");
    refused("{\"input_ids\": []}\n", ":1", "empty");
    refused("{\"input_ids\": 7}\n", ":1", "array");
    refused("{\"input_ids\": [1, -1]}\n", ":1", "input_ids[1]");
    refused("{\"input_ids\": [1, 2147483648]}\n", ":1", "input_ids[1]");
    refused("{\"input_ids\": [1.5]}\n", ":1", "input_ids[0]");
    refused("{\"text\": \"a\"}\n{\"input_ids\": [1]}\n", ":2", "mix");
    refused("{\"messages\": []}\n", ":1", "at least one");
    refused("{\"messages\": [{\"content\": \"a\"}]}\n", ":1", "messages[0]");
    refused("{\"messages\": [{\"role\": \"user\"}], \"chat_template_kwargs\": 1}\n", ":1",
            "chat_template_kwargs");
    refused("{\"messages\": [{\"role\": \"user\"}], \"text\": \"a\"}\n", ":1", "either");
    refused("{\"text\": \"a\"}\n{\"messages\": [{\"role\": \"user\"}]}\n", ":2", "mix");
    refused("{\"text\": \"a\"}\n{\"text\"\n", ":2", "");
    refused("[1]\n", ":1", "");
}

static void test_lines(void **state)
{
    static const char text[] =
        "{\"text\": \"one\\ntwo\"}\n\n{\"text\": \"\", \"id\": 7}\r\n{\"text\": \"end\"}";
    struct err e = {0};
    struct docs *r = opened(file("jsonl", text, sizeof text - 1), DOCS_BAD_FINAL, &e);
    struct doc d;

    (void)state;
    assert_non_null(r);
    assert_int_equal(docs_next(r, &d, &e), 1);
    assert_string_equal(d.text, "one\ntwo");
    assert_true(d.length == 7 && d.line == 1 && !d.ids);
    doc_release(&d);
    assert_int_equal(docs_next(r, &d, &e), 1);
    assert_true(d.length == 0 && d.line == 3);
    doc_release(&d);
    assert_int_equal(docs_next(r, &d, &e), 1);
    assert_true(d.length == 3 && d.line == 4);
    doc_release(&d);
    assert_int_equal(docs_next(r, &d, &e), 0);
    assert_int_equal(docs_next(r, &d, &e), 0);
    closed(&r);
}

static void test_ids_and_text(void **state)
{
    static const char ids[] = "{\"input_ids\": [0, 5, 2147483647]}\n", text[] = "a\0b\n{\n";
    struct err e = {0};
    struct docs *r = opened(file("jsonl", ids, sizeof ids - 1), DOCS_BAD_FINAL, &e);
    struct doc d;

    (void)state;
    assert_non_null(r);
    assert_int_equal(docs_next(r, &d, &e), 1);
    assert_true(d.count == 3 && d.ids[1] == 5 && d.ids[2] == INT32_MAX && !d.text);
    doc_release(&d);
    closed(&r);
    r = opened(file("txt", text, sizeof text - 1), DOCS_BAD_FINAL, &e);
    assert_non_null(r);
    assert_int_equal(docs_next(r, &d, &e), 1);
    assert_true(d.length == sizeof text - 1 && memcmp(d.text, text, d.length) == 0);
    doc_release(&d);
    assert_int_equal(docs_next(r, &d, &e), 0);
    closed(&r);
    assert_null(opened(path, DOCS_BAD_FINAL, &e)); /* gone */
    data_file_close(&from);
}

/* The texts of a file, with a / behind each. */
static void texts_are(const char *end, const char *bytes, size_t n, const char *want,
                      uint64_t skipped, const char *first)
{
    struct err e = {0};
    struct docs *r = opened(file(end, bytes, n), DOCS_BAD_SKIP, &e);
    char have[256] = "";
    struct doc d;
    int got;

    assert_non_null(r);
    while ((got = docs_next(r, &d, &e)) == 1) {
        strcat(strcat(have, d.text), "/");
        doc_release(&d);
    }
    assert_int_equal(got, 0);
    assert_string_equal(have, want);
    assert_int_equal(docs_counted(r)->skipped, skipped);
    assert_non_null(strstr(docs_counted(r)->first, first));
    closed(&r);
}

#define MARK "\xEF\xBB\xBF"
#define TEXTS(end, text, want, skipped, first) \
    texts_are(end, text, sizeof(text) - 1, want, skipped, first)

/* A file without ends of lines is not taken into memory whole, and lines are not cut where the file
 * is read in pieces. */
static void test_long_lines(void **state)
{
    static char text[300000];
    struct err e = {0};
    struct docs *r;
    struct doc d;

    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text, "{\"text\": \"", 10);
    memcpy(text + 200000, "\"}\n{\"text\": \"", 13);
    memcpy(text + sizeof text - 2, "\"}", 2);
    r = opened(file("jsonl", text, sizeof text), DOCS_BAD_REFUSE, &e);
    assert_int_equal(docs_next(r, &d, &e), 1);
    assert_int_equal(d.length, 200000 - 10);
    doc_release(&d);
    assert_int_equal(docs_next(r, &d, &e), 1);
    assert_int_equal(d.line, 2);
    assert_int_equal(d.length, sizeof text - 200000 - 13 - 2);
    doc_release(&d);
    assert_int_equal(docs_next(r, &d, &e), 0);
    closed(&r);
    file("jsonl", "{\"text\": \"a\"}\n ", 16);
    assert_int_equal(truncate(path, (off_t)200 << 20), 0); /* a hole */
    r = opened(path, DOCS_BAD_SKIP, &e);
    assert_int_equal(docs_next(r, &d, &e), 1);
    doc_release(&d);
    assert_int_equal(docs_next(r, &d, &e), -1);
    assert_non_null(strstr(e.text, ".jsonl:2: a line of more than 128 MiB"));
    closed(&r);
}

static void test_skipped(void **state)
{
    (void)state;
    TEXTS("jsonl", MARK "{\"text\": \"a\"}\n\n{\"text\": \"b\"}\r\n", "a/b/", 0, "");
    TEXTS("jsonl", MARK "\n{\"text\": \"a\"}", "a/", 0, "");
    TEXTS("jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\n{\"text\": \"c\"}\nhello\n", "a/c/", 2,
          ":2");
    TEXTS("jsonl", "{\"text\": \"a\"}\n{\"input_ids\": [1]}\n{\"text\": 3}\n", "a/", 2, "mix");
    TEXTS("jsonl", "{\"text\": \"caf\xE9\"}\n", "caf\xEF\xBF\xBD/", 0, "");
    TEXTS("jsonl", "\n \r\n\t\n", "", 0, "");
    TEXTS("txt", MARK "a\r\nb", "a\r\nb/", 0, "");
    TEXTS("txt", MARK MARK "a", "a/", 0, "");
    TEXTS("jsonl", MARK MARK "{\"text\": \"a\"}\n" MARK MARK "\n", "a/", 0, "");
    TEXTS("json", MARK MARK "[{\"text\": \"a\"}]", "a/", 0, "");
}

/* What is not of a line is refused in any case. */
static void test_whole_file(void **state)
{
    static const char *const ends[] = {"jsonl", "txt"};
    static const struct {
        const char bytes[9], *name;
    } other[] = {{"\xFF\xFE{\0", "UTF-16"},       {"\xFE\xFF\0{", "UTF-16"},
                 {"{\0\"\0", "UTF-16"},           {"\0{\0\"", "UTF-16"},
                 {"\xFF\xFE\0\0{\0\0", "UTF-32"}, {"\0\0\xFE\xFF\0\0\0{", "UTF-32"},
                 {"{\0\0\0\"\0\0", "UTF-32"},     {"\0\0\0{\0\0\0\"", "UTF-32"}};
    struct err e = {0};
    struct doc d;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof other / sizeof *other; i++) {
        const size_t n = other[i / 2].name[4] == '1' ? 4 : 8;
        struct docs *r = opened(file(ends[i % 2], other[i / 2].bytes, n), DOCS_BAD_SKIP, &e);

        assert_non_null(r);
        assert_int_equal(docs_next(r, &d, &e), -1);
        assert_non_null(strstr(e.text, other[i / 2].name));
        closed(&r);
    }
}

/* A pipe is read once, and then as often as wanted; its contents say what it is. */
static void test_pipe(void **state)
{
    static const char *const said[] = {"\n {\"text\": \"a\"}\n", "plain {text}"},
                             *const want[] = {"a", "plain {text}"};
    struct err e = {0};
    struct doc d;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int ends[2];
        struct docs *r;

        assert_int_equal(pipe(ends), 0);
        assert_true(write(ends[1], said[i], strlen(said[i])) > 0);
        close(ends[1]);
        snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
        assert_int_equal(data_file_open(&from, path, &e), 0);
        close(ends[0]);
        for (int again = 0; again < 2; again++) {
            r = docs_open(&from, &(struct docs_opts){0}, &e);
            assert_non_null(r);
            assert_int_equal(docs_next(r, &d, &e), 1);
            assert_string_equal(d.text, want[i]);
            doc_release(&d);
            docs_close(&r);
        }
        data_file_close(&from);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),      cmocka_unit_test(test_lines),
        cmocka_unit_test(test_ids_and_text), cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_skipped),      cmocka_unit_test(test_whole_file),
        cmocka_unit_test(test_pipe),
    };

    return cmocka_run_group_tests_name("docs", tests, NULL, NULL);
}
