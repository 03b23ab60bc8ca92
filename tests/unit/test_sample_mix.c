/* SPDX-License-Identifier: Apache-2.0 */
/* Mixed files, token weights of a file, chats: what is refused, then rows and weights by eye. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../common/tensor/safetensors.h"
#include "sample_run.h"

/* ---- shares ---- */

static void shares(void **state)
{
    const char *data[] = {write_file("low.txt", "abcdefghijklabcdefghijklabcdefghijkl"),
                          write_file("high.txt", "nopqrstuvwxyznopqrstuvwxyznopqrstuvwxyz")};
    static const double quarter[] = {1, 3}, none[] = {1, 0}, little[] = {1, 99};
    struct sample_opts o = options("letters", data, 2, 32, 4);
    char text[256], again[256];
    struct sample *s, *alone;
    size_t i, high = 0;

    (void)state;
    o.shares = none;
    refused(o, ERR_USE, "high.txt' must be above 0");
    o.shares = little;
    refused(o, ERR_USE, "low.txt' is 0 tokens, less than a row of 4");
    o.shares = quarter;
    o.tokens = 0;
    refused(o, ERR_USE, "--share needs --tokens");
    o.tokens = 160;
    refused(o, ERR_DATA, "low.txt: data too short: need 40");
    o.tokens = 32;
    expect_rows_of(o, "nopq|abcd|rstu|vwxy|znop|efgh|qrst|uvwx|");
    o.mode = SAMPLE_CROPS;
    o.bos = SAMPLE_BOS_NO;
    o.lengths = (const size_t[]){2, 4};
    o.nlengths = 2;
    s = opened(o);
    rows_text(s, text, sizeof text);
    assert_int_equal(sample_tokens(s), 32);
    for (i = 0; text[i]; i++)
        high += text[i] >= 'n' && text[i] <= 'z';
    assert_int_equal(high, 24);
    assert_int_equal(json_count(json_get(sample_record(s), "shares")), 2);
    sample_close(&s);
    s = opened(o);
    rows_text(s, again, sizeof again);
    assert_string_equal(text, again);
    sample_close(&s);
    o.shares = NULL; /* the first file's rows are what it gives alone */
    o.ndata = 1;
    o.tokens = 8;
    alone = opened(o);
    rows_text(alone, again, sizeof again);
    for (char *row = strtok(again, "|"); row; row = strtok(NULL, "|"))
        assert_non_null(strstr(text, row));
    sample_close(&alone);
}

/* ---- token weights ---- */

static void weights_are(struct sample_opts o, const float *want, size_t n, double effective)
{
    struct sample *s = opened(o);
    struct err e = {0};
    size_t at = 0, c, i;

    for (c = 0; c < sample_chunks(s); c++) {
        struct msg *m = sample_chunk(s, c, &e);
        struct chunk_view v;

        assert_non_null(m);
        assert_int_equal(chunk_read(m, &v, &e), 0);
        assert_non_null(v.weights);
        for (i = 0; i < v.T; i++, at++)
            if (at >= n || fabsf(v.weights[i] - want[at]) > 1e-6f)
                fail_msg("weight %zu is %g", at, (double)v.weights[i]);
        msg_destroy(&m);
    }
    assert_int_equal(at, n);
    if (fabs(sample_audit(s)->effective - effective) > 1e-5)
        fail_msg("effective %.9g", sample_audit(s)->effective);
    sample_close(&s);
}

static void weights_refused(struct sample_opts o, const char *name, const char *text,
                            const char *want)
{
    o.token_weights = write_file(name, text);
    refused(o, ERR_USE, want);
}

/* A .safetensors file of one tensor. */
static const char *weights_file(const char *name, const char *tensor, int ndim,
                                const uint64_t *shape, const float *w, size_t bytes)
{
    struct err e = {0};
    struct st_writer *x = st_create(path_of(name), &e);

    assert_non_null(x);
    assert_int_equal(st_declare(x, tensor, DT_F32, ndim, shape, &e), 0);
    assert_int_equal(st_begin(x, &e), 0);
    assert_int_equal(st_put(x, tensor, w, bytes, &e), 0);
    assert_int_equal(st_publish(&x, &e), 0);
    return path_of(name);
}

static void token_weights(void **state)
{
    const char *data[] = {write_file("w.txt", "abcdefgh")};
    struct sample_opts o = options("letters", data, 1, 8, 4);
    struct sample *s;

    (void)state;
    o.token_weights = path_of("gone.jsonl");
    refused(o, ERR_USE, "gone.jsonl");
    weights_refused(o, "w.csv", "1", ".safetensors");
    weights_refused(o, "w1.jsonl", "{\"weights\":[1,2,3,4]}\n", "1 rows, there are 2");
    weights_refused(o, "w2.jsonl", "{\"weights\":[1,2,3,4]}\n{\"weights\":[1,2,3]}\n",
                    "w2.jsonl:2: \"weights\" must be an array of 4");
    weights_refused(o, "w3.jsonl",
                    "{\"weights\":[1,2,3,4]}\n\n{\"weights\":[1,2,3,4]}\n{\"weights\":[1,2,3,4]}",
                    "w3.jsonl:4: weights of a row beyond the last");
    weights_refused(o, "w4.jsonl", "{\"weights\":[1,2,3,4]}\n{\"weights\":[1,2,\"x\",4]}\n",
                    "weights[2]");
    weights_refused(o, "w5.jsonl", "{\"weights\":[1,2,3,4]}\n{\"weights\":[1,-2,3,4]}\n",
                    "below 0");
    o.token_weights = write_file("w6.jsonl", "{\"weights\":[2,0,2,4]}\n{\"weights\":[1,1,1,5]}\n");
    weights_are(o, (const float[]){1, 0, 1, 2, 0.5f, 0.5f, 0.5f, 2.5f}, 8, 64 / 13.);
    o.weights = SAMPLE_WEIGHTS_LENGTH; /* times 1/L: both rows weigh 1 */
    weights_are(o, (const float[]){0.25f, 0, 0.25f, 0.5f, 0.125f, 0.125f, 0.125f, 0.625f}, 8,
                64 / 13.);
    o.weights = SAMPLE_WEIGHTS_NONE;
    o.clip.high = 1.5; /* (1 0 1 1.5) / (3.5/4); (.5 .5 .5 1.5) / (3/4) */
    weights_are(o, (const float[]){8 / 7.f, 0, 8 / 7.f, 12 / 7.f, 2 / 3.f, 2 / 3.f, 2 / 3.f, 2}, 8,
                64 / (272 / 49. + 48 / 9.));
    o.clip.high = 0;
    o.token_weights =
        write_file("w7.jsonl", "{\"weights\":[0,0,0,0]}\n{\"weights\":[1,null,1,5]}\n");
    weights_are(o, (const float[]){1, 1, 1, 1, 1, 1, 1, 1}, 8, 8);
    s = opened(o);
    assert_int_equal(sample_audit(s)->weights_uniform, 2);
    assert_int_equal(strlen(json_as_text(json_get(sample_record(s), "token_weights"))), 16);
    sample_close(&s);
}

static void tensor_weights(void **state)
{
    static const float w[8] = {2, 0, 2, 4, 1, 1, 1, 5};
    const char *data[] = {write_file("w.txt", "abcdefgh")};
    struct sample_opts o = options("letters", data, 1, 8, 4);

    (void)state;
    o.token_weights =
        weights_file("w.safetensors", "weights", 1, (const uint64_t[]){8}, w, sizeof w);
    weights_are(o, (const float[]){1, 0, 1, 2, 0.5f, 0.5f, 0.5f, 2.5f}, 8, 64 / 13.);
    o.tokens = 4;
    refused(o, ERR_USE, "\"weights\" [4]");
}

/* Row by row, first chunk first: the weights of each in the two blocks of the model. */
static void block_weights_are(struct sample_opts o, const float *want, size_t rows)
{
    struct sample *s = opened(o);
    struct err e = {0};
    size_t row = 0;

    for (size_t c = 0; c < sample_chunks(s); c++) {
        struct msg *m = sample_chunk(s, c, &e);
        struct chunk_view v;

        assert_non_null(m);
        assert_int_equal(chunk_read(m, &v, &e), 0);
        assert_int_equal(v.blocks, 2);
        for (size_t i = 0; i < v.nseq; i++, row++)
            for (size_t b = 0; b < 2; b++)
                if (row >= rows ||
                    fabsf(v.block_weights[b * v.nseq + i] - want[2 * row + b]) > 1e-6f)
                    fail_msg("row %zu, block %zu: %g", row, b,
                             (double)v.block_weights[b * v.nseq + i]);
        msg_destroy(&m);
    }
    assert_int_equal(row, rows);
    sample_close(&s);
}

static void block_weights(void **state)
{
    static const float w[6] = {1, 2, 3, 4, 4, 4};
    const char *data[] = {write_file("b.txt", "abcdefghijkl")};
    struct sample_opts o = options("letters", data, 1, 12, 4);
    struct sample *s;

    (void)state;
    weights_refused(o, "b1.jsonl", "{\"block\":[1,2]}\n", "neither \"weights\"");
    weights_refused(o, "b2.jsonl", "{\"blocks\":[1,2,3]}\n",
                    "b2.jsonl:1: \"blocks\" must be an array of 2 numbers, one for each block");
    weights_refused(o, "b3.jsonl", "{\"blocks\":[1,2]}\n{\"weights\":[1,2,3,4]}\n",
                    "b3.jsonl:2: all rows need the same");
    weights_refused(o, "b4.jsonl", "{\"blocks\":[1,2]}\n{\"blocks\":[1,-2]}\n{\"blocks\":[1,1]}\n",
                    "block 1: the weight of row 1 is below 0");
    o.token_weights =
        write_file("b5.jsonl", "{\"blocks\":[1,4]}\n{\"blocks\":[2,4]}\n{\"blocks\":[3,4]}\n");
    block_weights_are(o, (const float[]){0.5f, 1, 1, 1, 1.5f, 1}, 3);
    o.clip.high = 1.2; /* (.5 1 1.2) / .9 */
    block_weights_are(o, (const float[]){5 / 9.f, 1, 10 / 9.f, 1, 12 / 9.f, 1}, 3);
    o.clip.high = 0;
    o.token_weights = write_file(
        "b6.jsonl",
        "{\"blocks\":[1,0],\"weights\":[1,2,3,4]}\n{\"blocks\":[null,0],\"weights\":[1,1,1,1]}\n"
        "{\"blocks\":[3,0],\"weights\":[1,1,1,1]}\n");
    block_weights_are(o, (const float[]){1, 1, 1, 1, 1, 1}, 3);
    s = opened(o);
    assert_int_equal(sample_audit(s)->blocks_uniform, 2);
    assert_int_equal(sample_audit(s)->weights_uniform, 0);
    sample_close(&s);
    o.token_weights =
        weights_file("b.safetensors", "blocks", 2, (const uint64_t[]){2, 3}, w, sizeof w);
    block_weights_are(o, (const float[]){0.5f, 1, 1, 1, 1.5f, 1}, 3);
    o.tokens = 8;
    refused(o, ERR_USE, "\"blocks\" must be [2, 2]");
}

/* A tensor called as a site weighs the tokens there, at mean 1 in each row. */
static void site_weights(void **state)
{
    static const float w[8] = {2, 0, 2, 4, 1, 1, 1, 5};
    static const float want[8] = {1, 0, 1, 2, 0.5f, 0.5f, 0.5f, 2.5f};
    const char *data[] = {write_file("s.txt", "abcdefgh")};
    struct sample_opts o = options("letters", data, 1, 8, 4);
    const uint64_t shape[] = {8};
    struct sample *s;
    struct err e = {0};
    size_t at = 0;

    (void)state;
    o.token_weights = weights_file("s0.safetensors", "bits", 1, shape, w, sizeof w);
    refused(o, ERR_USE, "called as a site (b3.attn.qkv)");
    o.token_weights = weights_file("s1.safetensors", "b2.attn.o", 1, shape, w, sizeof w);
    refused(o, ERR_USE, "\"b2.attn.o\": the model has 2 blocks");
    o.token_weights =
        weights_file("s2.safetensors", "b1.attn.o", 1, (const uint64_t[]){4}, w, 4 * sizeof *w);
    refused(o, ERR_USE, "\"b1.attn.o\" must be [8]");
    o.token_weights = weights_file("s3.safetensors", "b1.attn.o", 1, shape, w, sizeof w);
    s = opened(o);
    for (size_t c = 0; c < sample_chunks(s); c++) {
        struct msg *m = sample_chunk(s, c, &e);
        struct chunk_view v;
        const float *got;

        assert_non_null(m);
        assert_int_equal(chunk_read(m, &v, &e), 0);
        assert_int_equal(v.nsites, 1);
        assert_null(v.weights);
        assert_non_null(got = chunk_site_weights(&v, 1, "attn.o", 0));
        for (size_t t = 0; t < v.T; t++, at++)
            assert_true(fabsf(got[t] - want[at]) <= 1e-6f);
        msg_destroy(&m);
    }
    assert_int_equal(at, 8);
    sample_close(&s);
}

/* ---- chats ---- */

#define CHATS                                                                                      \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"abc\"},{\"role\":\"bot\",\"content\":\"de\"}" \
    "]}\n"                                                                                         \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"<s>fg\"}],\"chat_template_kwargs\":{"         \
    "\"tail\":\"xyz\"}}\n"

static void chats(void **state)
{
    const char *data[] = {write_file("chat.jsonl", CHATS)};
    const char *plain =
        write_file("plain.jinja", "{{ bos_token }}{% for m in messages %}{{ m.role[0] }}{{ "
                                  "m.content }}{% endfor %}{{ tail }}");
    struct sample_opts o = options("letters", data, 1, 0, 5);
    struct sample *s;

    (void)state;
    o.model = path_of("bare");
    refused(o, ERR_USE, "tokenizer.json");
    o.model = path_of("letters");
    refused(o, ERR_USE, "chat.jsonl:1: ");
    o.chat_template = write_file("bad.jinja", "{{ messages|sort }}");
    refused(o, ERR_USE, "chat.jsonl:1: ");
    o.chat_template = write_file("date.jinja", "{{ strftime_now('%d') }}");
    refused(o, ERR_USE, "--date");
    o.date = "yesterday";
    refused(o, ERR_USE, "YYYY-MM-DD");
    o.date = NULL;
    /* the folder names no bos_token: nothing of the template in front */
    o.chat_template = plain;
    expect_rows_of(o, "uabcb|deu^f|");
    write_file("letters/tokenizer_config.json", "{\"bos_token\":{\"content\":\"<s>\"}}");
    expect_rows_of(o, "^uabc|bde^u|^fgxy|");
    o.mode = SAMPLE_HEAD; /* the template's own BOS, no other */
    expect_rows_of(o, "^uabc|^u^fg|");
    o.bos = SAMPLE_BOS_YES;
    expect_rows_of(o, "^uabc|^u^fg|");
    s = opened(o);
    assert_int_equal(sample_audit(s)->chats, 2);
    assert_int_equal(sample_audit(s)->bos_removed, 2);
    assert_int_equal(sample_audit(s)->double_bos, 0);
    assert_int_equal(strlen(json_as_text(json_get(sample_record(s), "template"))), 16);
    sample_close(&s);
    o.bos = SAMPLE_BOS_AUTO; /* template and text both begin with BOS */
    o.chat_template =
        write_file("twice.jinja", "{{ bos_token }}{{ messages[0].content }}{{ 'klmnop' }}");
    expect_rows_of(o, "^abck|^fgkl|");
    s = opened(o);
    assert_int_equal(sample_audit(s)->bos_removed, 1);
    sample_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares),         cmocka_unit_test(token_weights),
        cmocka_unit_test(tensor_weights), cmocka_unit_test(block_weights),
        cmocka_unit_test(site_weights),   cmocka_unit_test(chats),
    };

    return cmocka_run_group_tests_name("sample_mix", tests, set_up, tear_down);
}
