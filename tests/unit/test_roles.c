/* SPDX-License-Identifier: Apache-2.0 */
/* Which tokens are prompt and which answer: places in a text to tokens, then roles of rows. */
#include "sample_run.h"

#include "../../common/jinja/chat_ids.h"

/* The places of a text, each to the tokens in front of it, as one text of digits. */
static void expect_places(const char *text, const char *want)
{
    static const char json[] =
        "{\"added_tokens\":[{\"id\":3,\"content\":\"<e>\",\"special\":true,\"lstrip\":true}],"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\" \":4},\"merges\":[\"a "
        "b\"]}}";
    struct err e = {0};
    struct tokenizer *t = tokenizer_parse(json, sizeof json - 1, "small", &e);
    size_t n = strlen(text), at[32], tokens[32], count;
    char got[33] = "";
    int32_t *ids;

    assert_non_null(t);
    for (size_t i = 0; i <= n; i++)
        at[i] = i;
    assert_int_equal(tokenizer_encode_at(t, text, n, at, n + 1, tokens, &ids, &count, &e), 0);
    for (size_t i = 0; i <= n; i++)
        got[i] = (char)('0' + tokens[i]);
    assert_string_equal(got, want);
    assert_int_equal(tokens[n], count);
    free(ids);
    tokenizer_close(&t);
}

static void places(void **state)
{
    (void)state;
    expect_places("", "0");
    expect_places("abab", "00112"); /* a place inside of a token: it is not in front */
    expect_places("aab", "0112");
    expect_places("a<e>b", "011123");
    expect_places("a <e>b", "0111123"); /* the token swallows the space */
    expect_places("<e><e>", "0001112");
}

static void special_tokens(void **state)
{
    static const char json[] = "{\"added_tokens\":[{\"id\":3,\"content\":\"<e>\",\"special\":true},"
                               "{\"id\":4,\"content\":\"<f>\"}],"
                               "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}";
    struct err e = {0};
    struct tokenizer *t = tokenizer_parse(json, sizeof json - 1, "small", &e);
    size_t n = 0;

    (void)state;
    assert_non_null(t);
    assert_int_equal(tokenizer_special(t, "<e>a", 4, &n), 3);
    assert_int_equal(n, 3);
    assert_int_equal(tokenizer_special(t, "<e>", 2, &n), -1);
    assert_int_equal(tokenizer_special(t, "<f>", 3, &n), -1);
    assert_int_equal(tokenizer_special(t, "a<e>", 4, &n), -1);
    tokenizer_close(&t);
}

/* The token that ends a turn is the answer's, though the template prints it; BOS never is. */
static void turns_end(void **state)
{
    static const char json[] =
        "{\"added_tokens\":[{\"id\":3,\"content\":\"<e>\",\"special\":true}],"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\" \":2,\"!\":4},\"merges\":[]}}",
                      template[] = "{% for m in messages %}{{ m.content }} <e>!{% endfor %}",
                      talk[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"ab\"},{\"role\":"
                               "\"assistant\","
                               "\"content\":\"ba\"},{\"role\":\"user\",\"content\":\"a\"}]}";
    struct err e = {0};
    struct tokenizer *t = tokenizer_parse(json, sizeof json - 1, "small", &e);
    struct chat *c = chat_parse(template, sizeof template - 1, "t", &e);
    struct json *j = json_parse(talk, sizeof talk - 1, "talk", &e);

    (void)state;
    assert_true(t && c && j);
    for (int bos = 0; bos < 2; bos++) {
        struct chat_ids_opts o = {.bos = bos ? 3 : -1, .roles = 1};
        struct chat_row row;

        assert_int_equal(chat_ids(c, t, j, &o, &row, &e), 0);
        assert_int_equal(row.n, 14);
        assert_memory_equal(
            row.role, bos ? "\1\1\1\1\1\2\2\1\1\1\1\1\1\1" : "\1\1\1\1\1\2\2\2\2\1\1\1\1\1", 14);
        free(row.ids);
        free(row.role);
        o.roles = 0;
        assert_int_equal(chat_ids(c, t, j, &o, &row, &e), 0);
        assert_true(row.n == 14 && !row.role);
        free(row.ids);
    }
    json_destroy(&j);
    chat_close(&c);
    tokenizer_close(&t);
}

/* Of all rows, with "|" behind each; "-" for a chunk without the tensor. */
static void expect_roles(struct sample_opts o, const char *want, uint64_t answers)
{
    struct sample *s = opened(o);
    char got[256];
    size_t used = 0;

    for (size_t c = 0; c < sample_chunks(s); c++) {
        struct err e = {0};
        struct msg *m = sample_chunk(s, c, &e);
        struct chunk_view v;
        size_t at = 0;

        assert_non_null(m);
        assert_int_equal(chunk_read(m, &v, &e), 0);
        for (size_t i = 0; i < v.nseq; i++, got[used++] = '|')
            for (int32_t k = 0; k < v.lengths[i]; k++, at++)
                got[used++] = (char)(v.role ? '0' + v.role[at] : '-');
        msg_destroy(&m);
    }
    got[used] = 0;
    assert_string_equal(got, want);
    assert_int_equal(sample_audit(s)->answers, answers);
    sample_close(&s);
}

#define TURN(who, what) "{\"role\":\"" who "\",\"content\":\"" what "\"}"
#define CHATS                                                                       \
    "{\"messages\":[" TURN("user", "ab") "," TURN("assistant", "cde") "," TURN(     \
        "user", "f") "," TURN("assistant", "gh") "]}\n{\"messages\":[" TURN("user", \
                                                                            "ijklmnop") "]}\n"

static void roles_of_chats(void **state)
{
    const char *data[] = {write_file("chats.jsonl", CHATS), write_file("text.jsonl", LINES)};
    struct sample_opts o = options("letters", data, 1, 16, 4);

    (void)state;
    o.chat_template =
        write_file("plain.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}");
    expect_roles(o, "1122|2122|1111|1111|", 5);
    o.chunk_tokens = 8;
    o.tokens = 12;
    expect_roles(o, "1122|2122|1111|", 5);
    /* BOS in front is given, whoever puts it there */
    o.chunk_tokens = 4;
    o.bos = SAMPLE_BOS_YES;
    o.mode = SAMPLE_HEAD;
    o.tokens = 4;
    o.chat_template =
        write_file("bos.jinja", "<s>{% for m in messages %}{{ m.content }}{% endfor %}");
    expect_roles(o, "1112|", 1);
    /* chats and texts in one run; a chunk of text alone does not say it */
    o = options("letters", data, 2, 24, 4);
    o.shares = (const double[]){1, 1};
    o.chat_template = path_of("plain.jinja");
    expect_roles(o, "1122|----|2122|----|1111|----|", 5);
    o = options("letters", data + 1, 1, 8, 4);
    expect_roles(o, "----|----|", 0);
}

/* The whole of what {% generation %} marks, and no more. */
static void roles_of_generation(void **state)
{
    const char *data[] = {write_file("chats.jsonl", CHATS)};
    struct sample_opts o = options("letters", data, 1, 12, 4);

    (void)state;
    o.chat_template =
        write_file("marked.jinja", "{% for m in messages %}{% if m.role == 'assistant' %}z"
                                   "{% generation %}{{ m.content }}y{% endgeneration %}x"
                                   "{% else %}{{ m.content }}{% endif %}{% endfor %}");
    expect_roles(o, "1112|2221|1122|", 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places),
        cmocka_unit_test(special_tokens),
        cmocka_unit_test(turns_end),
        cmocka_unit_test(roles_of_chats),
        cmocka_unit_test(roles_of_generation),
    };

    return cmocka_run_group_tests_name("roles", tests, set_up, tear_down);
}
