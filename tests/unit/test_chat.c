/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates: what is refused, by name and line; limits; then every rendering of
 * tests/golden/chat, made by jinja2 (make.py there). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/base/hash.h"
#include "../../common/jinja/chat.h"
#include "../../common/jinja/chat_answers.h"
#include "shared.h"

#define GOLDEN "tests/golden/chat"
#define HI "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

static struct json *parsed(const char *text)
{
    struct err e = {0};
    struct json *j = json_parse(text, strlen(text), "test", &e);

    if (!j)
        fail_msg("%s", e.text);
    return j;
}

/* The text, or NULL and why. */
static char *rendered(const char *template, const char *vars, size_t steps, size_t bytes,
                      struct err *e)
{
    struct chat *c = chat_parse(template, strlen(template), "t", e);
    struct json *j = parsed(vars);
    char *out = NULL;
    size_t n;

    if (c && steps)
        chat_limit(c, steps, bytes);
    if (c)
        out = chat_render(c, j, &n, e);
    if (out)
        assert_int_equal(strlen(out), n);
    json_destroy(&j);
    chat_close(&c);
    return out;
}

static void expect(const char *template, const char *want)
{
    struct err e = {0};
    char *out = rendered(template, HI, 0, 0, &e);

    if (!out)
        fail_msg("%s: %s", template, e.text);
    assert_string_equal(out, want);
    free(out);
}

static void refused(const char *template, const char *words)
{
    struct err e = {0};
    char *out = rendered(template, HI, 0, 0, &e);

    if (out || e.kind != ERR_USE || !strstr(e.text, words))
        fail_msg("%s: '%s' is not about '%s'", template, out ? out : e.text, words);
}

static void not_understood(void **state)
{
    static const char *const all[][2] = {
        {"a\n{% include 'x' %}", "t:2: this tag is not supported"},
        {"{% raw %}{% endraw %}", "raw"},
        {"{% do x %}", "'do'"},
        {"\n\n{{ 1|sort }}", "t:3: the filter 'sort'"},
        {"{{ 1 is weird }}", "test 'weird'"},
        {"{{ 'a'.zfill(3) }}", "method 'zfill'"},
        {"{{ foo(1) }}", "function 'foo'"},
        {"{{ cycler(1) }}", "'cycler'"},
        {"{{ messages.append(1) }}", "method 'append'"},
        {"{{ messages[0].items }}", "'items' that is not called"},
        {"{{ 'a'.__class__ }}", "with _"},
        {"{{ strftime_now('%Y') }}", "today's date"},
        {"{{ nothing.x }}", "'x' of an undefined value"},
        {"{{ 'a' + 1 }}", "between a text and an int"},
        {"{{ 1 / 0 }}", "division by 0"},
        {"{{ 9223372036854775807 }}", "number"},
        {"{{ 999999999999999999 * 999999999 }}", "too large"},
        {"{{ raise_exception('no ' ~ 1) }}", "refuses the conversation: no 1"},
        {"{{ x", "without an end"},
        {"{{ 'x }}", "without an end"},
        {"{# x", "without an end"},
        {"{% if 1 %}", "end of a block"},
        {"{{ (1 }}", "bracket"},
        {"{{ a b }}", "at 'b'"},
        {"{{ }}", "an expression is needed"},
        {"{% endif %}", "out of place"},
        {"{% break %}", "not in a loop"},
        {"{% for x in 3 %}{% endfor %}", "cannot be iterated"},
        {"{{ 1 < 'a' }}", "no order"},
        {"{% set x.y = 1 %}", "namespace"},
        {"{% for a, b in [[1]] %}{% endfor %}", "more names"},
        {"{{ 'é'|upper }}", "ASCII"},
        {"{{ ['\xE2\x80\x94'] }}", "U+2014"},
        {"{{ ('a'|safe) + '<' }}", "safe"},
        {"{{ f(*a) }}", "with *"},
        {"{{ x is y is z }}", ""},
        {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "too deep"},
        {"{{ loop.cycle(1) }}", "undefined value"},
        {"{% for x in [1] recursive %}{% endfor %}", "recursive"},
        {"{{ range(10**9) }}", "range"},
        {"{{ 1 | tojson(separators=[1]) }}", "separators"},
        {"{{ \"\\N{DASH}\" }}", "\\N"},
        {"{{ 1 ? 2 }}", "no meaning"},
        {"\xFF", "UTF-8"},
        {"{{ ns.x.y }}", "undefined"},
        {"{{ [1]|join('a', attribute='') }}", "without a name"},
    };
    char deep[4096] = "";

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        refused(all[i][0], all[i][1]);
    strcat(deep, "{{ ");
    for (int i = 0; i < 250; i++)
        strcat(deep, "(");
    strcat(deep, "1");
    for (int i = 0; i < 250; i++)
        strcat(deep, ")");
    refused(strcat(deep, " }}"), "too deep");
    strcpy(deep, "{{ 1");
    for (int i = 0; i < 400; i++)
        strcat(deep, "+1");
    refused(strcat(deep, " }}"), "too deep");
    assert_null(chat_open("/nonexistent", NULL, &(struct err){0}));
    chat_close(NULL);
}

static void limits(void **state)
{
    static const char forever[] =
        "{% set l = range(9999) %}{% for a in l %}{% for b in l %}{{ b }}{% endfor %}{% endfor %}";
    static const char grows[] = "{% set ns = namespace(s='0123456789') %}{% for a in range(99) "
                                "%}{% set ns.s = ns.s + ns.s %}{% endfor %}";
    char prints[1200];
    struct err e = {0};
    struct json *j = parsed("{\"messages\":3}");
    struct chat *c = chat_parse("x", 1, "t", &e);
    size_t n;

    (void)state;
    assert_null(chat_render(c, j, &n, &e));
    assert_non_null(strstr(e.text, "messages"));
    json_destroy(&j);
    chat_close(&c);
    assert_null(rendered(forever, HI, 100000, 1 << 28, &e));
    if (!strstr(e.text, "100000 steps"))
        fail_msg("%s", e.text);
    assert_null(rendered(grows, HI, 100000, 1 << 20, &e));
    assert_non_null(strstr(e.text, "memory"));
    snprintf(prints, sizeof prints, "{%% for a in range(500) %%}%01000d{%% endfor %%}", 0);
    assert_null(rendered(prints, HI, 100000, 200000, &e));
    assert_non_null(strstr(e.text, "output"));
    assert_int_equal(chat_set_date(NULL, "2025-13-01", &e), -1);
    assert_int_equal(chat_set_date(NULL, "2025-02-29", &e), -1);
    assert_int_equal(chat_check_date("2026-02-31", &e), -1);
    assert_int_equal(chat_check_date("2024-02-29", &e), 0);
    assert_int_equal(chat_set_date(NULL, "25-1-1", &e), -1);
    assert_int_equal(chat_set_date(NULL, "2025-01-01x", &e), -1);
}

/* White space around tags: the rules of trim_blocks, lstrip_blocks and the signs. */
static void white_space(void **state)
{
    (void)state;
    expect("a\n", "a");
    expect("a\n\n", "a\n");
    expect("a\r\nb\rc", "a\nb\nc");
    expect("  {% if 1 %}\n  x\n  {% endif %}\ny", "  x\ny");
    expect("x  {% if 1 %} y {% endif %}  \nz", "x   y   \nz");
    expect("  {%+ if 1 +%}\nx{% endif %}", "  \nx");
    expect(" {{ 1 }}\n {{- 2 -}}  \n 3", " 123");
    expect("a \n {#- c -#} \n b", "ab");
    expect("a\n  {# c #}\nb", "a\nb");
    expect("{{ 'a' -}}\xC2\xA0\n{{ 'b' }}", "ab");
    expect("{{ {'a': {'b': 1}}.a.b }}", "1");
    expect("{#-#}x", "x");
    expect("{{ \"they're [bill]s\"|title }}{{ \"they're\".title() }}", "They're [Bill]sThey'Re");
    expect("{{ ' a  b c '.split(None, 1) }}", "['a', 'b c ']");
    expect("{% if 0 %}a{% elif 1 %}b{% else %}c{% endif %}", "b");
}

static struct chat *template_of(const char *name, int own)
{
    struct err e = {0};
    const char *path;
    char mine[256], foreign[256];
    struct chat *c;
    struct json *s = json_new_text("<s>"), *end = json_new_text("</s>");

    snprintf(mine, sizeof mine, GOLDEN "/%s", name);
    snprintf(foreign, sizeof foreign, "data/chat-templates/%s", name);
    path = own ? mine : shared_path(foreign);
    if (!path) {
        json_destroy(&s);
        json_destroy(&end);
        return NULL;
    }
    if (!(c = chat_open("/nonexistent", path, &e)))
        fail_msg("%s", e.text);
    assert_int_equal(chat_set(c, "bos_token", s, &e), 0);
    assert_int_equal(chat_set(c, "eos_token", end, &e), 0);
    assert_int_equal(chat_set_date(c, "2025-01-02", &e), 0);
    json_destroy(&s);
    json_destroy(&end);
    return c;
}

static void check_row(const struct chat *c, const struct json *vars, const struct json *row,
                      const char *name)
{
    const char *want = json_as_text(json_get(row, "text"));
    struct err e = {0};
    int64_t bytes = 0, crc = 0, i = 0;
    size_t n = 0;
    char *out = chat_render(c, vars, &n, &e);

    json_as_int(json_get(row, "chat"), &i);
    if (json_get(row, "refused")) {
        if (out || !strstr(e.text, json_as_text(json_get(row, "refused"))))
            fail_msg("%s, chat %d: '%s'", name, (int)i, e.text);
        return;
    }
    if (!out)
        fail_msg("%s, chat %d: %s", name, (int)i, e.text);
    if (want) {
        if (strcmp(out, want))
            print_message("%s, chat %d\n", name, (int)i);
        assert_string_equal(out, want);
    } else {
        assert_int_equal(json_as_int(json_get(row, "bytes"), &bytes), 0);
        assert_int_equal(json_as_int(json_get(row, "crc32c"), &crc), 0);
        if (n != (size_t)bytes || hash_crc32c(0, out, n) != (uint32_t)crc)
            fail_msg("%s, chat %d: another text:\n%s", name, (int)i, out);
    }
    free(out);
}

/* All rows of expected.jsonl of our own templates, or of the foreign ones; returns how many
 * could be checked. */
static size_t check_rows(int own)
{
    struct err e = {0};
    size_t n, count = 0;
    struct json *chat[16];
    size_t chats = 0;
    char *chat_text = fs_read(GOLDEN "/conversations.jsonl", 1 << 20, &n, &e),
         *rows = fs_read(GOLDEN "/expected.jsonl", 1 << 20, &n, &e);

    assert_non_null(chat_text);
    assert_non_null(rows);
    for (char *line = strtok(chat_text, "\n"); line; line = strtok(NULL, "\n"))
        chat[chats++] = parsed(line);
    for (char *line = rows, *end; *line; line = end + 1) {
        struct json *row;
        struct chat *c;
        int64_t i;
        int mine;

        end = strchr(line, '\n');
        *end = 0;
        row = parsed(line);
        assert_int_equal(json_as_bool(json_get(row, "own"), &mine), 0);
        assert_int_equal(json_as_int(json_get(row, "chat"), &i), 0);
        assert_true((size_t)i < chats);
        c = mine == own ? template_of(json_as_text(json_get(row, "template")), own) : NULL;
        if (c) {
            check_row(c, chat[i], row, json_as_text(json_get(row, "template")));
            count++;
        }
        chat_close(&c);
        json_destroy(&row);
    }
    while (chats)
        json_destroy(&chat[--chats]);
    free(chat_text);
    free(rows);
    return count;
}

static void own_templates(void **state)
{
    (void)state;
    assert_int_equal(check_rows(1), 14);
}

static void foreign_templates(void **state)
{
    shared_or_skip(there, "data/chat-templates");
    (void)state;
    assert_int_equal(check_rows(0), 56);
}

/* Where a model folder keeps its template. */
static void folders(void **state)
{
    static const char *const configs[] = {
        "{\"chat_template\":\"{{ bos_token }}1\",\"bos_token\":{\"content\":\"<b>\"}}",
        "{\"chat_template\":[{\"name\":\"tool_use\",\"template\":\"2\"},{\"name\":\"default\","
        "\"template\":\"3{{ bos_token }}\"}],\"bos_token\":null}",
    };
    static const char beside[] = "{\"chat_template\":\"5{{ bos_token }}\"}";
    static const char *const texts[] = {"<b>1", "3", "5", "4"};
    char dir[] = "/tmp/ptq-chat-XXXXXX", config[64], file[64], processor[64];
    struct err e = {0};
    struct json *j = parsed(HI);
    uint64_t digest = 0;
    size_t n;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(config, sizeof config, "%s/tokenizer_config.json", dir);
    snprintf(file, sizeof file, "%s/chat_template.jinja", dir);
    snprintf(processor, sizeof processor, "%s/chat_template.json", dir);
    for (int i = 0; i < 5; i++) {
        struct chat *c;
        char *out;

        if (i < 2)
            assert_int_equal(fs_publish(config, configs[i], strlen(configs[i]), &e), 0);
        if (i == 2)
            assert_int_equal(fs_publish(processor, beside, strlen(beside), &e), 0);
        if (i == 3)
            assert_int_equal(fs_publish(file, "4", 1, &e), 0);
        if (i == 4) {
            assert_int_equal(fs_publish(config, "{}", 2, &e), 0);
            assert_int_equal(unlink(file), 0);
            assert_int_equal(unlink(processor), 0);
        }
        c = chat_open(dir, NULL, &e);
        if (i == 4) {
            assert_null(c);
            assert_non_null(strstr(e.text, "no \"chat_template\""));
            break;
        }
        assert_non_null(c);
        assert_true(chat_digest(c) != digest);
        digest = chat_digest(c);
        out = chat_render(c, j, &n, &e);
        assert_string_equal(out, texts[i]);
        free(out);
        chat_close(&c);
    }
    json_destroy(&j);
    assert_int_equal(fs_remove_tree(dir, &e), 0);
}

/* What the model says in the rendering of j, with "|" behind each span. */
static void expect_answers(const struct chat *c, const struct json *j, size_t first, int marked,
                           const char *want, const char *name)
{
    struct chat_spans spans = {0};
    struct err e = {0};
    char said[512] = "";
    size_t n, used = 0;
    char *text = chat_render_spans(c, j, &n, &spans, &e);

    if (!text || chat_answers(c, j, text, n, first, &spans, &e) != marked)
        fail_msg("%s: '%s'", name, e.text);
    for (size_t i = 0; i < spans.n; i++)
        used +=
            (size_t)snprintf(said + used, sizeof said - used, "%.*s|",
                             (int)(spans.at[i].end - spans.at[i].start), text + spans.at[i].start);
    if (strcmp(said, want))
        fail_msg("%s: '%s', not '%s'", name, said, want);
    free(text);
    free(spans.at);
}

#define TURN(who, what) "{\"role\":\"" who "\",\"content\":\"" what "\"}"
#define TALK                                                                                 \
    "{\"messages\":[" TURN("user", "One, please") "," TURN("assistant", "Een xyz") "," TURN( \
        "user", "and two") "," TURN("assistant", "Zwei \xC3\xA4") "]}"

static void answers(void **state)
{
    static const struct {
        const char *template, *want;
        int marked;
        size_t first;
    } all[] = {
        {"{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>{% endfor %}",
         "Een xyz|Zwei \xC3\xA4|", 0, 0},
        {"{% for m in messages %}{{ m.content }}{% endfor %}", "Zwei \xC3\xA4|", 0, 2},
        {"{% for m in messages %}{{ m.content|trim if loop.last else 'gone' }}{% endfor %}",
         "Zwei \xC3\xA4|", 0, 0},
        {"{% for m in messages %}{% if m.role != 'user' %}{% generation %}{{ m.content }}!"
         "{% endgeneration %}{% else %}[{{ m.content }}]{% endif %}{% endfor %}",
         "Een xyz!|Zwei \xC3\xA4!|", 1, 0},
        /* a refusal of other words than those that are there: all is prompt */
        {"{% for m in messages %}{% if m.content in 'xyzqwv' %}{{ raise_exception('no') }}"
         "{% endif %}{{ m.content }}{% endfor %}",
         "", 0, 0},
        /* places inside of a block's text are not places in the whole */
        {"{% set all %}{% generation %}a{% endgeneration %}{% endset %}b{{ all }}", "", 0, 0},
    };
    struct json *j = parsed(TALK);

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct err e = {0};
        struct chat *c = chat_parse(all[i].template, strlen(all[i].template), "t", &e);

        if (!c)
            fail_msg("%s", e.text);
        expect_answers(c, j, all[i].first, all[i].marked, all[i].want, all[i].template);
        chat_close(&c);
    }
    json_destroy(&j);
}

static void foreign_answers(void **state)
{
    static const char *const names[] = {
        "HuggingFaceTB-SmolLM3-3B.jinja",
        "Mistral-Small-3.2-24B-Instruct-2506.jinja",
        "Qwen-Qwen2.5-7B-Instruct.jinja",
        "Qwen-Qwen3-0.6B.jinja",
        "google-gemma-2-2b-it.jinja",
        "meta-llama-Llama-3.1-8B-Instruct.jinja",
        "meta-llama-Llama-3.2-3B-Instruct.jinja",
        "microsoft-Phi-3.5-mini-instruct.jinja",
    };
    struct json *j = parsed(TALK);

    shared_or_skip(there, "data/chat-templates");
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct chat *c = template_of(names[i], 0);

        expect_answers(c, j, 0, 0, "Een xyz|Zwei \xC3\xA4|", names[i]);
        chat_close(&c);
    }
    json_destroy(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(not_understood),    cmocka_unit_test(limits),
        cmocka_unit_test(white_space),       cmocka_unit_test(own_templates),
        cmocka_unit_test(foreign_templates), cmocka_unit_test(folders),
        cmocka_unit_test(answers),           cmocka_unit_test(foreign_answers),
    };

    return cmocka_run_group_tests_name("chat", tests, NULL, NULL);
}
