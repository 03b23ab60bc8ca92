/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of several lengths: sums that fill a budget, draws, nested windows, joined documents,
 * weights of 1/L. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sample_run.h"

static const size_t maca[] = {512, 256, 4096, 1024, 2048};

/* A model of long context and one text of n letters. */
static struct sample_opts long_options(const char *context, size_t n, const char *const *data,
                                       uint64_t tokens, const size_t *lengths, size_t count)
{
    static const char config[] = CONFIG("28");
    char text[sizeof config + 16], *letters = malloc(n + 1);
    const char *at = strstr(config, "\"max_position_embeddings\":16");
    struct sample_opts o;
    size_t i;

    snprintf(text, sizeof text, "%.*s\"max_position_embeddings\":%s%s", (int)(at - config), config,
             context, at + strlen("\"max_position_embeddings\":16"));
    write_model("long", 1, text);
    assert_non_null(letters);
    for (i = 0; i < n; i++)
        letters[i] = (char)('a' + i % 26);
    letters[n] = 0;
    write_file("long.txt", letters);
    free(letters);
    o = options("long", data, 1, tokens, 2048);
    o.mode = SAMPLE_CROPS;
    o.bos = SAMPLE_BOS_NO;
    o.lengths = lengths;
    o.nlengths = count;
    return o;
}

/* Rows of each length come to the budget; a chunk is whole rows and no longer than it must be. */
static void lengths_fill_the_budget(void **state)
{
    const char *data[] = {path_of("long.txt")};
    struct sample_opts o = long_options("8192", 300000, data, 524288, maca, 5);
    static const struct {
        size_t a, b;
        uint64_t budget, tokens, rows, of_a;
    } small[] = {
        {3, 5, 8, 8, 2, 1},    {3, 5, 12, 12, 4, 4},  {3, 5, 13, 13, 3, 1},  {3, 5, 7, 6, 2, 2},
        {3, 5, 4, 3, 1, 1},    {4, 6, 21, 20, 4, 2},  {4, 6, 4, 4, 1, 1},    {4, 4, 10, 8, 2, 2},
        {7, 11, 36, 36, 4, 2}, {7, 11, 17, 14, 2, 2}, {7, 11, 38, 36, 4, 2},
    };
    struct sample *s;
    size_t i, want[] = {66, 67, 66, 66, 66};

    (void)state;
    for (o.mode = SAMPLE_CONCAT; o.mode <= SAMPLE_CROPS; o.mode++) {
        if (o.mode == SAMPLE_CONCAT)
            long_options("8192", 524288, data, 1, maca, 5);
        s = opened(o);
        assert_int_equal(sample_rows(s), 331);
        assert_int_equal(sample_tokens(s), 524288);
        assert_int_equal(sample_audit(s)->remainder, 0);
        for (i = 0; i < 5; i++)
            assert_int_equal(sample_rows_of(s, (size_t)256 << i), want[i]);
        sample_close(&s);
    }
    o.mode = SAMPLE_CROPS;
    for (i = 0; i < sizeof small / sizeof *small; i++) {
        size_t two[2] = {small[i].a, small[i].b};

        o.lengths = two;
        o.nlengths = 2;
        o.tokens = small[i].budget;
        s = opened(o);
        assert_int_equal(sample_tokens(s), small[i].tokens);
        assert_int_equal(sample_rows(s), small[i].rows);
        assert_int_equal(sample_rows_of(s, two[0]), small[i].of_a);
        assert_int_equal(sample_audit(s)->remainder, small[i].budget - small[i].tokens);
        sample_close(&s);
    }
}

static void uniform_draws(void **state)
{
    const char *data[] = {path_of("long.txt")};
    struct sample_opts o = long_options("8192", 1000000, data, 524288, maca, 5);
    struct sample *s;
    uint64_t seed, rows = 0;
    int alike = 0;

    (void)state;
    o.draw = SAMPLE_UNIFORM;
    for (seed = 1; seed <= 10; seed++) {
        o.seed = seed;
        s = opened(o);
        assert_int_equal(sample_tokens(s), 524288);
        alike += rows == sample_rows(s);
        rows = sample_rows(s);
        assert_in_range(rows, 250, 420); /* the mean is 330, its deviation about 17 */
        sample_close(&s);
    }
    assert_true(alike < 9);
}

static void lengths_refused(void **state)
{
    const char *data[] = {path_of("long.txt")};
    static const size_t bad[] = {4, 1}, many[SAMPLE_LENGTHS_MAX + 1] = {4};
    struct sample_opts o = long_options("16", 40, data, 12, bad, 2);

    (void)state;
    refused(o, ERR_USE, "at least 2");
    o.lengths = many;
    o.nlengths = SAMPLE_LENGTHS_MAX + 1;
    refused(o, ERR_USE, "too many");
    o = long_options("16", 40, data, 3, (const size_t[]){4, 8}, 2);
    refused(o, ERR_USE, "shortest of --lengths, 4");
    o.tokens = 0;
    refused(o, ERR_USE, "--tokens 0");
    o.tokens = 12;
    o.draw = SAMPLE_FIXED;
    refused(o, ERR_USE, "one length, not 2");
    o.draw = SAMPLE_UNIFORM;
    o.crops = SAMPLE_NESTED;
    refused(o, ERR_USE, "--crops nested");
    o.draw = SAMPLE_STRATIFIED;
    o.mode = SAMPLE_CONCAT;
    refused(o, ERR_USE, "--crops nested");
    o.crops = SAMPLE_INDEPENDENT;
    o.mode = SAMPLE_HEAD;
    refused(o, ERR_USE, "--mode head");
    o.mode = SAMPLE_CONCAT;
    o.tokens = 48;
    refused(o, ERR_DATA, "need 48 tokens, have 40");
}

/* Lengths beyond the context become the context. */
static void lengths_capped(void **state)
{
    const char *data[] = {path_of("long.txt")};
    struct sample_opts o = long_options("16", 400, data, 48, (const size_t[]){8, 32, 64}, 3);
    struct sample *s = opened(o);

    (void)state;
    assert_int_equal(sample_audit(s)->capped, 2);
    assert_int_equal(sample_rows_of(s, 16), 2);
    assert_int_equal(sample_rows_of(s, 8), 2);
    sample_close(&s);
}

/* Each row of a nested cycle begins where the longest one does; no two cycles share a window. */
static void nested(void **state)
{
    const char *data[] = {
        write_file("nest.jsonl",
                   "{\"text\":\"abcdefghij\"}\n{\"text\":\"klmnopqrst\"}\n{\"text\":\"uvw\"}\n")};
    struct sample_opts o = options("letters", data, 1, 2 * (8 + 4 + 2) + 4, 8);
    static const size_t lengths[] = {2, 4, 8};
    char text[256], first[256];
    struct sample *s;

    (void)state;
    o.mode = SAMPLE_CROPS;
    o.crops = SAMPLE_NESTED;
    o.bos = SAMPLE_BOS_NO;
    o.lengths = lengths;
    o.nlengths = 3;
    o.tokens -= 4;
    s = opened(o);
    rows_text(s, text, sizeof text);
    rows_text(s, first, sizeof first);
    assert_string_equal(text, first);
    assert_int_equal(strlen(text), 28 + 6);
    assert_memory_equal(text, text + 9, 4);
    assert_memory_equal(text, text + 14, 2);
    assert_memory_equal(text + 17, text + 26, 4);
    assert_memory_equal(text + 17, text + 31, 2);
    /* two documents are long enough: each gives one window */
    assert_true((text[0] < 'k') != (text[17] < 'k'));
    assert_int_equal(sample_audit(s)->dropped + sample_audit(s)->passed, 1);
    sample_close(&s);
    /* the row of the remainder has a window of its own, which these documents do not have */
    o.tokens += 4;
    refused(o, ERR_DATA, "need 3 windows of 8 tokens, have 2");
    o.too_short = SAMPLE_SHORT_JOIN;
    s = opened(o);
    assert_int_equal(sample_rows(s), 7);
    assert_int_equal(sample_audit(s)->joined, 1);
    assert_int_equal(sample_audit(s)->read, 3); /* reading again counts nothing */
    assert_int_equal(sample_audit(s)->used, 2);
    rows_text(s, text, sizeof text);
    assert_string_equal(text + 34, "abcd|");
    sample_close(&s);
}

/* Rows for which no document is long enough, from joined ones. */
static void joined(void **state)
{
    const char *data[] = {write_file("j.jsonl", LINES)};
    struct sample_opts o = options("letters", data, 1, 24, 8);
    char text[256];
    struct sample *s;

    (void)state;
    o.mode = SAMPLE_CROPS;
    o.bos = SAMPLE_BOS_NO;
    o.lengths = (const size_t[]){8, 4};
    o.nlengths = 2;
    refused(o, ERR_DATA,
            "need 2 windows of 8 tokens, have 0 in documents of that length (5 documents read); "
            "--short join");
    o.too_short = SAMPLE_SHORT_JOIN;
    s = opened(o);
    rows_text(s, text, sizeof text);
    assert_memory_equal(text, "abcdefgh|", 9);
    assert_memory_equal(text + 14, "ijklmnop|", 9);
    assert_int_equal(strlen(text), 28);
    assert_int_equal(sample_audit(s)->joined, 2);
    assert_int_equal(sample_audit(s)->double_bos, 0);
    sample_close(&s);
    o.bos = SAMPLE_BOS_AUTO;
    s = opened(o);
    rows_text(s, text, sizeof text);
    assert_memory_equal(text, "^defghij|", 9); /* long enough now, with BOS */
    assert_memory_equal(text + 14, "^abcdefg|", 9);
    sample_close(&s);
}

/* 1/L on each token: each row weighs 1. */
static void weights_of_length(void **state)
{
    const char *data[] = {path_of("long.txt")};
    struct sample_opts o =
        long_options("8192", 9000, data, 3 * (8 + 4 + 2), (const size_t[]){2, 4, 8}, 3);
    struct sample *s = opened(o);
    struct err e = {0};
    double sum = 0, squares = 0;
    size_t c, i, j, at, rows = 0;

    (void)state;
    assert_float_equal(sample_audit(s)->effective, 42, 0); /* weights of 1: the number of tokens */
    sample_close(&s);
    o.weights = SAMPLE_WEIGHTS_LENGTH;
    s = opened(o);
    for (c = 0; c < sample_chunks(s); c++) {
        struct msg *m = sample_chunk(s, c, &e);
        struct chunk_view v;

        assert_int_equal(chunk_read(m, &v, &e), 0);
        assert_non_null(v.weights);
        for (i = at = 0; i < v.nseq; i++, rows++)
            for (j = 0; j < (size_t)v.lengths[i]; j++, at++) {
                assert_true(v.weights[at] == 1.0f / (float)v.lengths[i]);
                sum += (double)v.weights[at];
                squares += (double)v.weights[at] * (double)v.weights[at];
            }
        msg_destroy(&m);
    }
    assert_int_equal(rows, 9);
    assert_float_equal(sum, 9, 0);
    assert_float_equal(squares, 3 * (1 / 2. + 1 / 4. + 1 / 8.), 0);
    assert_true(fabs(sample_audit(s)->effective - 81 / 2.625) < 1e-12);
    assert_string_equal(json_as_text(json_get(sample_record(s), "weights")), "length");
    assert_int_equal(json_count(json_get(sample_record(s), "lengths")), 3);
    assert_int_equal(json_count(json_get(json_get(sample_record(s), "audit"), "lengths")), 3);
    sample_close(&s);
}

/* The first token of each row weighs so many times 1/L; the others stay. */
static void weight_of_the_first_token(void **state)
{
    const char *data[] = {path_of("long.txt")};
    const double weights[] = {0, 16}, one = 1;
    struct sample_opts o =
        long_options("8192", 9000, data, 3 * (8 + 4 + 2), (const size_t[]){2, 4, 8}, 3);
    struct err e = {0};
    struct sample *s;
    size_t k, i, j, at;

    (void)state;
    for (k = 0; k < 2; k++) {
        struct msg *m;
        struct chunk_view v;

        o.weights = SAMPLE_WEIGHTS_LENGTH;
        o.first_weight = &weights[k];
        s = opened(o);
        m = sample_chunk(s, 0, &e);
        assert_int_equal(chunk_read(m, &v, &e), 0);
        assert_non_null(v.weights);
        for (i = at = 0; i < v.nseq; i++)
            for (j = 0; j < (size_t)v.lengths[i]; j++, at++)
                assert_true(v.weights[at] == (j ? 1.0f : (float)weights[k]) / (float)v.lengths[i]);
        msg_destroy(&m);
        assert_true(json_get(sample_record(s), "first_weight") != NULL);
        sample_close(&s);
    }
    o.weights = SAMPLE_WEIGHTS_NONE;
    o.first_weight = &weights[0];
    s = opened(o);
    assert_float_equal(sample_audit(s)->effective, 42 - 9, 0);
    sample_close(&s);
    o.first_weight = &one; /* is no weight at all */
    s = opened(o);
    assert_null(json_get(sample_record(s), "first_weight"));
    sample_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_refused),
        cmocka_unit_test(lengths_fill_the_budget),
        cmocka_unit_test(uniform_draws),
        cmocka_unit_test(lengths_capped),
        cmocka_unit_test(nested),
        cmocka_unit_test(joined),
        cmocka_unit_test(weights_of_length),
        cmocka_unit_test(weight_of_the_first_token),
    };

    return cmocka_run_group_tests_name("sample_lengths", tests, set_up, tear_down);
}
