/* SPDX-License-Identifier: Apache-2.0 */
/* test_doc_forms - chats as collections of other forms hold them, a text column of another name,
 * labels of tokens: what is refused, then what becomes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/text/docs.h"

static const struct docs_opts none;

static void refused(const struct docs_opts *o, const char *line, const char *word)
{
    struct err e = {0};
    struct doc d;

    if (doc_parse(line, strlen(line), "x:7", o, &d, &e) == 0)
        fail_msg("accepted: %s", line);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, "x:7") || !strstr(e.text, word))
        fail_msg("'%s' does not name '%s'", e.text, word);
    assert_true(!d.text && !d.ids && !d.chat && !d.role);
}

static struct doc parsed(const struct docs_opts *o, const char *line)
{
    struct err e = {0};
    struct doc d;

    if (doc_parse(line, strlen(line), "x:7", o, &d, &e) != 0)
        fail_msg("'%s': %s", line, e.text);
    return d;
}

static void chat_is(const char *line, const char *want, size_t first)
{
    struct doc d = parsed(&none, line);
    struct err e = {0};
    char *text = json_print(d.chat, 0, &e);

    assert_non_null(text);
    assert_string_equal(text, want);
    assert_int_equal(d.first_answer, first);
    free(text);
    doc_release(&d);
}

#define SAID(who, what) "{\"role\":\"" who "\",\"content\":\"" what "\"}"
#define FROM(who, what) "{\"from\":\"" who "\",\"value\":\"" what "\"}"

static void test_conversations(void **state)
{
    (void)state;
    refused(&none, "{\"conversations\":[]}", "at least one");
    refused(&none, "{\"conversations\":7}", "\"conversations\" must be a list of objects");
    refused(&none, "{\"conversations\":[{\"value\":\"x\"}]}", "conversations[0] has neither");
    refused(&none, "{\"conversations\":[" FROM("human", "a") "," FROM("function_call", "f") "]}",
            "conversations[1] is from 'function_call'");
    refused(&none, "{\"conversations\":[{\"from\":\"gpt\",\"value\":3}]}", "must be a text");
    refused(&none, "{\"conversations\":[" FROM("gpt", "a") "],\"system\":3}", "\"system\"");
    chat_is("{\"conversations\":[" FROM("system", "s") "," FROM("human", "a") "," FROM(
                "gpt", "b") "," FROM("observation", "c") "],\"id\":7}",
            "{\"messages\":[" SAID("system", "s") "," SAID("user", "a") "," SAID(
                "assistant", "b") "," SAID("tool", "c") "]}",
            0);
    chat_is("{\"system\":\"s\",\"conversations\":[" FROM("user", "a") "]}",
            "{\"messages\":[" SAID("system", "s") "," SAID("user", "a") "]}", 0);
    chat_is("{\"system\":\"other\",\"conversations\":[" FROM("system", "s") "]}",
            "{\"messages\":[" SAID("system", "s") "]}", 0);
    chat_is("{\"system\":\"\",\"conversations\":[" SAID("user", "a") "],\"tools\":[{\"n\":1}]}",
            "{\"tools\":[{\"n\":1}],\"messages\":[" SAID("user", "a") "]}", 0);
    /* a line that has messages, too, is these */
    chat_is("{\"conversations\":[" FROM("user", "no") "],\"messages\":[" SAID("user", "a") "]}",
            "{\"messages\":[" SAID("user", "a") "]}", 0);
}

static void test_instruction(void **state)
{
    (void)state;
    refused(&none, "{\"instruction\":\"a\"}", "\"instruction\" with \"output\"");
    refused(&none, "{\"instruction\":\"a\",\"output\":null}", "needs either");
    refused(&none, "{\"instruction\":3,\"output\":\"b\"}", "\"instruction\" must be a text");
    refused(&none, "{\"instruction\":\"a\",\"output\":[]}", "\"output\" must be a text");
    refused(&none, "{\"instruction\":\"a\",\"input\":7,\"output\":\"b\"}", "\"input\" must be");
    chat_is("{\"instruction\":\"a\",\"input\":\"\",\"output\":\"b\"}",
            "{\"messages\":[" SAID("user", "a") "," SAID("assistant", "b") "]}", 0);
    chat_is("{\"system\":\"s\",\"instruction\":\"a\",\"input\":\"i\",\"output\":\"b\"}",
            "{\"messages\":[" SAID("system", "s") "," SAID("user", "a\\n\\ni") "," SAID("assistant",
                                                                                        "b") "]}",
            0);
}

static void test_prompt(void **state)
{
    struct doc d;

    (void)state;
    refused(&none, "{\"prompt\":\"a\"}", "\"prompt\" with \"completion\"");
    refused(&none, "{\"prompt\":\"a\",\"completion\":[]}", "\"completion\" must be a text");
    refused(&none, "{\"prompt\":[" SAID("user", "a") "],\"completion\":\"b\"}",
            "\"completion\" must be a list");
    refused(&none, "{\"prompt\":{},\"completion\":\"b\"}", "\"prompt\" must be a text");
    d = parsed(&none, "{\"completion\":\" yes\",\"prompt\":\"So?\"}");
    assert_string_equal(d.text, "So? yes");
    assert_true(d.length == 7 && d.parted && d.prompt == 3);
    doc_release(&d);
    d = parsed(&none, "{\"prompt\":\"\",\"completion\":\"yes\"}");
    assert_true(d.length == 3 && d.parted && d.prompt == 0);
    doc_release(&d);
    chat_is("{\"prompt\":[" SAID("user", "a") "," SAID("assistant", "b") "],\"completion\":[" SAID(
                "assistant", "c") "]}",
            "{\"messages\":[" SAID("user", "a") "," SAID("assistant", "b") "," SAID("assistant",
                                                                                    "c") "]}",
            2);
    /* without a completion it is a column like others */
    d = parsed(&none, "{\"prompt\":\"a\",\"text\":\"b\"}");
    assert_string_equal(d.text, "b");
    assert_false(d.parted);
    doc_release(&d);
}

static void test_column(void **state)
{
    const struct docs_opts o = {.text_column = "content"};
    const struct docs_opts final = {.bad_lines = DOCS_BAD_FINAL};
    struct err e = {0};
    struct doc d;

    (void)state;
    refused(&o, "{\"text\":\"a\"}",
            "no text \"content\", as --text-column says; there are \"text\"");
    refused(&o, "{\"content\":null}", "no text \"content\"");
    refused(&o, "{\"content\":[1]}", "\"content\" must be a text");
    refused(&o, "{\"content\":\"a\",\"content\":\"b\"}", "\"content\" is there twice");
    refused(&o, "\"a\"", "one object");
    refused(&none, "{\"title\":\"a\",\"n\":1,\"content\":\"b\"}",
            "(--text-column NAME reads another: \"title\", \"content\")");
    refused(&none, "{\"text\":\"a\",\"input_ids\":[1]}", "--text-column text");
    assert_int_equal(doc_parse("{\"body\":\"a\"}", 12, "x", &final, &d, &e), -1);
    assert_null(strstr(e.text, "--text-column"));
    d = parsed(&o, "{\"content\":\"a\",\"messages\":3,\"text\":\"b\",\"text\":4}");
    assert_string_equal(d.text, "a");
    doc_release(&d);
    d = parsed(&(struct docs_opts){.text_column = "text"},
               "{\"text\":\"a\",\"messages\":[" SAID("user", "a") "]}");
    assert_string_equal(d.text, "a");
    doc_release(&d);
    d = parsed(&none, " \"a text \\u0041\" \n");
    assert_string_equal(d.text, "a text A");
    doc_release(&d);
    refused(&none, "\"a\" \"b\"", "behind the text");
}

static void test_labels(void **state)
{
    struct doc d;

    (void)state;
    refused(&none, "{\"input_ids\":[1,2],\"labels\":[1]}", "labels has 1 numbers, input_ids 2");
    refused(&none, "{\"input_ids\":[1],\"labels\":[\"a\"]}", "labels[0]");
    refused(&none, "{\"input_ids\":[1],\"labels\":4}", "labels must be an array");
    d = parsed(&none, "{\"input_ids\":[7,1,2,3],\"labels\":[-100,-100,2,3],"
                      "\"attention_mask\":[0,1,1,1]}");
    assert_int_equal(d.count, 3);
    assert_memory_equal(d.role, "\1\2\2", 3);
    doc_release(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conversations), cmocka_unit_test(test_instruction),
        cmocka_unit_test(test_prompt),        cmocka_unit_test(test_column),
        cmocka_unit_test(test_labels),
    };

    return cmocka_run_group_tests_name("doc_forms", tests, NULL, NULL);
}
