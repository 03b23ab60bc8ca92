/* SPDX-License-Identifier: Apache-2.0 */
/* test_doc_line - one line of a .jsonl file: what is refused, what is repaired, what is not looked
 * at, tokens that a mask rules out, chats whose parts are stored as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/text/docs.h"

#define FFFD "\xEF\xBF\xBD"
#define MESSAGES "\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]"
#define TOOL "{\"type\": \"function\", \"function\": {\"name\": \"f\"}}"

static const struct docs_opts none;

static void refused(const char *line, const char *word)
{
    struct err e = {0};
    struct doc d;

    if (doc_parse(line, strlen(line), "x:7", &none, &d, &e) == 0)
        fail_msg("accepted: %s", line);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, "x:7") || !strstr(e.text, word))
        fail_msg("'%s' does not name '%s'", e.text, word);
    assert_true(!d.text && !d.ids && !d.chat);
}

static void test_refused(void **state)
{
    (void)state;
    refused("", "one object");
    refused("7", "one object");
    refused("[{\"text\": \"x\"}]", "one object");
    refused("{\"text\": \"x\"", "too early");
    refused("{\"text\": \"x", "without an end");
    refused("{\"text\": \"x\\", "without an end");
    refused("{\"text\": \"x\"} {\"text\": \"y\"}", "behind the object");
    refused("{\"text\": \"x\" \"id\": 1}", "',' is missing");
    refused("{\"text\" \"x\"}", "':' is missing");
    refused("{\"text\": \"x\", }", "key is missing");
    refused("{\"text\": \"x\", \"a\": }", "value is missing");
    refused("{\"text\": \"x\", \"a\": [1}}", "do not match");
    refused("{\"text\": \"x\", \"a\": [[1]}", "do not match");
    refused("{\"text\": \"x\", \"a\": [1", "too early");
    refused("{\"text\": \"x\", \"text\": \"y\"}", "\"text\" is there twice");
    refused("{\"text\": \"x\", \"t\\u0065xt\": \"y\"}", "\"text\" is there twice");
    refused("{\"text\": NaN}", "");
    refused("{\"text\": \"a\tb\"}", "");
    refused("{\"text\": null}", "needs either");
    refused("{\"Text\": \"x\"}", "needs either");
    refused("{\"text\": \"x\", " MESSAGES "}", "both \"text\" and \"messages\"");
    refused("{\"input_ids\": [1], " MESSAGES "}", "both \"input_ids\" and \"messages\"");
    refused("{\"input_ids\": [1, NaN]}", "");
    refused("{\"input_ids\": [[1], [2]]}", "input_ids[0]");
}

static void test_deep(void **state)
{
    char line[5000] = "{\"text\": \"x\", \"a\": ";
    size_t n = strlen(line);

    (void)state;
    memset(line + n, '[', 4000);
    refused(line, "too deep");
}

static void text_is(const char *line, const char *want, size_t repaired)
{
    struct err e = {0};
    struct doc d;

    if (doc_parse(line, strlen(line), "x:7", &none, &d, &e) != 0)
        fail_msg("'%s': %s", line, e.text);
    assert_non_null(d.text);
    assert_string_equal(d.text, want);
    assert_int_equal(d.length, strlen(want));
    assert_int_equal(d.repaired, repaired);
    doc_release(&d);
}

static void test_not_looked_at(void **state)
{
    (void)state;
    text_is("{\"text\": \"x\", \"score\": NaN}", "x", 0);
    text_is("{\"score\": -Infinity, \"text\": \"x\"}", "x", 0);
    text_is("{\"text\": \"x\", \"score\": 1e999}", "x", 0);
    text_is("{\"id\": 1, \"id\": 2, \"text\": \"x\"}", "x", 0);
    text_is("{\"id\": 99999999999999999999999, \"text\": \"x\"}", "x", 0);
    text_is("{\"meta\": {\"a\": [1, {\"text\": \"no\"}], \"a\": NaN}, \"text\": \"x\"}", "x", 0);
    text_is("{\"meta\": \"}{][\\\"\", \"text\": \"x\"}", "x", 0);
    text_is("{\"text\": \"x\", \"messages\": null, \"input_ids\": null}", "x", 0);
    text_is("{\"text\": \"x\", \"tools\": 5, \"attention_mask\": \"no\"}", "x", 0);
    text_is(" {\"te\\u0078t\" : \"x\"}\r\n", "x", 0);
    text_is("{\"text\": \"\", \"null\": null}", "", 0);
}

static void test_repaired(void **state)
{
    (void)state;
    text_is("{\"text\": \"caf\xE9\"}", "caf" FFFD, 1);
    text_is("{\"text\": \"x\", \"by\": \"caf\xE9\"}", "x", 1);
    text_is("{\"text\": \"cut \\ud83d emoji\"}", "cut " FFFD " emoji", 1);
    text_is("{\"text\": \"cut \\uDE00\"}", "cut " FFFD, 1);
    text_is("{\"text\": \"\\ud83d\\ud83d\\ude00\"}", FFFD "\xF0\x9F\x98\x80", 1);
    text_is("{\"text\": \"\\ud83d\\ude00\"}", "\xF0\x9F\x98\x80", 0);
    text_is("{\"text\": \"\\\\ud83d\"}", "\\ud83d", 0);
    text_is("{\"text\": \"caf\xE9 \\ud83d\"}", "caf" FFFD " " FFFD, 2);
}

static void ids_are(const char *line, size_t n, const int32_t *want, size_t masked)
{
    struct err e = {0};
    struct doc d;

    if (doc_parse(line, strlen(line), "x:7", &none, &d, &e) != 0)
        fail_msg("'%s': %s", line, e.text);
    assert_int_equal(d.count, n);
    assert_memory_equal(d.ids, want, n * sizeof *want);
    assert_int_equal(d.masked, masked);
    doc_release(&d);
}

static void test_mask(void **state)
{
    static const int32_t want[] = {5, 6, 7};

    (void)state;
    refused("{\"input_ids\": [5, 6], \"attention_mask\": [1]}", "1 numbers, input_ids 2");
    refused("{\"input_ids\": [5], \"attention_mask\": [1, 1]}", "2 numbers, input_ids 1");
    refused("{\"input_ids\": [5], \"attention_mask\": []}", "0 numbers");
    refused("{\"input_ids\": [5], \"attention_mask\": 1}", "must be an array");
    refused("{\"input_ids\": [5], \"attention_mask\": [2]}", "attention_mask[0]");
    refused("{\"input_ids\": [5], \"attention_mask\": [0.5]}", "attention_mask[0]");
    refused("{\"input_ids\": [5, 6], \"attention_mask\": [0, 0]}", "every token");
    ids_are("{\"input_ids\": [5, 6, 7]}", 3, want, 0);
    ids_are("{\"input_ids\": [5, 6, 7], \"attention_mask\": null}", 3, want, 0);
    ids_are("{\"input_ids\": [5, 6, 7], \"attention_mask\": [1, 1, 1]}", 3, want, 0);
    ids_are("{\"input_ids\": [9, 9, 5, 6, 7], \"attention_mask\": [0, 0, 1, 1, 1]}", 3, want, 2);
    ids_are("{\"attention_mask\": [1, 1, 1, 0], \"input_ids\": [5, 6, 7, 9]}", 3, want, 1);
    ids_are("{\"input_ids\": [5, 9, 6, 7], \"attention_mask\": [true, false, true, true]}", 3, want,
            1);
    ids_are("{\"input_ids\": [-100, 5, 6, 7], \"attention_mask\": [0, 1, 1, 1.0]}", 3, want, 1);
    ids_are("{\"input_ids\": [[9, 5, 6, 7]], \"attention_mask\": [[0, 1, 1, 1]]}", 3, want, 1);
}

/* The variable of the template, as compact JSON. */
static void var_is(const char *line, const char *name, const char *want)
{
    struct err e = {0};
    struct doc d;
    char *text;

    if (doc_parse(line, strlen(line), "x:7", &none, &d, &e) != 0)
        fail_msg("'%s': %s", line, e.text);
    text = json_get(d.chat, name) ? json_print(json_get(d.chat, name), 0, &e) : NULL;
    if (want)
        assert_string_equal(text, want);
    else
        assert_null(text);
    free(text);
    doc_release(&d);
}

static void test_chat(void **state)
{
    static const char tool[] = "[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]";

    (void)state;
    refused("{\"messages\": []}", "at least one");
    refused("{\"messages\": \"hello\"}", "not one of JSON");
    refused("{\"messages\": [3]}", "list of objects");
    refused("{\"messages\": [{\"content\": \"x\"}]}", "messages[0]");
    refused("{" MESSAGES ", \"tools\": " TOOL "}", "\"tools\" must be a list of objects");
    refused("{" MESSAGES ", \"tools\": 3}", "\"tools\" must be a list of objects");
    refused("{" MESSAGES ", \"tools\": [\"f\"]}", "\"tools\" must be a list of objects");
    refused("{" MESSAGES ", \"tools\": \"call f\"}", "\"tools\" is a text");
    refused("{" MESSAGES ", \"tools\": \"{\\\"a\\\": 1}\"}", "\"tools\" must be a list");
    refused("{" MESSAGES ", \"documents\": {\"text\": \"d\"}}", "\"documents\" must be");
    refused("{" MESSAGES ", \"chat_template_kwargs\": {\"tools\": \"x\"}}", "\"tools\" is a text");
    refused("{" MESSAGES ", \"chat_template_kwargs\": [1]}", "chat_template_kwargs");
    var_is("{" MESSAGES ", \"tools\": [" TOOL "]}", "tools", tool);
    var_is("{" MESSAGES ", \"tools\": \"[{\\\"type\\\": \\\"function\\\", \\\"function\\\": "
           "{\\\"name\\\": \\\"f\\\"}}]\"}",
           "tools", tool);
    var_is("{" MESSAGES ", \"tools\": null}", "tools", NULL);
    /* and so are the calls that a message makes of them */
    var_is("{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": \"[{\\\"a\\\": 1}]\"}]}",
           "messages", "[{\"role\":\"assistant\",\"tool_calls\":[{\"a\":1}]}]");
    var_is("{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": null}]}", "messages",
           "[{\"role\":\"assistant\",\"tool_calls\":null}]");
    refused("{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": " TOOL "}]}",
            "\"tool_calls\" must be a list of objects");
    refused("{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": [\"f\"]}]}",
            "\"tool_calls\" must be a list of objects");
    refused("{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": \"f\"}]}",
            "\"tool_calls\" is a text, and not one of JSON");
    var_is("{" MESSAGES ", \"tools\": \"null\"}", "tools", NULL);
    var_is("{" MESSAGES ", \"tools\": \" \"}", "tools", NULL);
    var_is("{" MESSAGES ", \"tools\": \"[]\"}", "tools", "[]");
    var_is("{" MESSAGES ", \"documents\": \"[{\\\"text\\\": \\\"d\\\"}]\"}", "documents",
           "[{\"text\":\"d\"}]");
    var_is("{" MESSAGES ", \"chat_template_kwargs\": {\"think\": false, \"tools\": [" TOOL "]}}",
           "tools", tool);
    var_is("{" MESSAGES ", \"chat_template_kwargs\": \"{\\\"think\\\": false}\"}", "think",
           "false");
    var_is("{\"messages\": \"[{\\\"role\\\": \\\"user\\\"}]\", \"text\": null}", "messages",
           "[{\"role\":\"user\"}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),       cmocka_unit_test(test_deep),
        cmocka_unit_test(test_not_looked_at), cmocka_unit_test(test_repaired),
        cmocka_unit_test(test_mask),          cmocka_unit_test(test_chat),
    };

    return cmocka_run_group_tests_name("doc_line", tests, NULL, NULL);
}
