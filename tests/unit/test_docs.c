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

/* The given line is the one that is refused. */
static void refused(const char *text, const char *where, const char *word)
{
    struct err e = {0};
    struct docs *r = docs_open(file("jsonl", text, strlen(text)), &e);
    struct doc d;
    int got;

    assert_non_null(r);
    while ((got = docs_next(r, &d, &e)) == 1)
        doc_release(&d);
    assert_int_equal(got, -1);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, where) || !strstr(e.text, word))
        fail_msg("'%s' does not name '%s' and '%s'", e.text, where, word);
    docs_close(&r);
    assert_null(r);
    unlink(path);
}

static void test_refused(void **state)
{
    struct err e = {0};

    (void)state;
    assert_null(docs_open("/nonexistent/x.jsonl", &e));
    assert_int_equal(e.kind, ERR_USE);
    assert_null(docs_open("tests/unit/test_docs.c", &e));
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
    struct docs *r = docs_open(file("jsonl", text, sizeof text - 1), &e);
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
    docs_close(&r);
    unlink(path);
}

static void test_ids_and_text(void **state)
{
    static const char ids[] = "{\"input_ids\": [0, 5, 2147483647]}\n", text[] = "a\0b\n{\n";
    struct err e = {0};
    struct docs *r = docs_open(file("jsonl", ids, sizeof ids - 1), &e);
    struct doc d;

    (void)state;
    assert_non_null(r);
    assert_int_equal(docs_next(r, &d, &e), 1);
    assert_true(d.count == 3 && d.ids[1] == 5 && d.ids[2] == INT32_MAX && !d.text);
    doc_release(&d);
    docs_close(&r);
    unlink(path);
    r = docs_open(file("txt", text, sizeof text - 1), &e);
    assert_non_null(r);
    assert_int_equal(docs_next(r, &d, &e), 1);
    assert_true(d.length == sizeof text - 1 && memcmp(d.text, text, d.length) == 0);
    doc_release(&d);
    assert_int_equal(docs_next(r, &d, &e), 0);
    docs_close(&r);
    unlink(path);
    r = docs_open(path, &e); /* gone: a .txt is read at the first document */
    assert_non_null(r);
    assert_int_equal(docs_next(r, &d, &e), -1);
    docs_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_ids_and_text),
    };

    return cmocka_run_group_tests_name("docs", tests, NULL, NULL);
}
