/* SPDX-License-Identifier: Apache-2.0 */
/* The sampler's core: what it refuses, the rows of each mode, chunks and lanes, provenance.
 * Models: the demo's, and a small one made here whose tokens are letters, so that every row can
 * be told by eye. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../stages/sample/sample_paces.h"
#include "sample_run.h"

static void bad_input(void **state)
{
    const char *text = write_file("abc.txt", "abcdefgh"),
               *ids = write_file("bad.jsonl", "{\"input_ids\":[1,2]}\n{\"input_ids\":[3,30]}\n");
    const char *gone = path_of("gone.txt"), *odd = write_file("abc.csv", "a,b"),
               *hash = write_file("hash.txt", "ab#d");
    const char *empty = write_file("empty.jsonl", "\n");
    struct sample_opts o;

    (void)state;
    refused(options("nowhere", &text, 1, 8, 4), ERR_USE, "config.json");
    refused(options("letters", &text, 0, 8, 4), ERR_USE, "--data");
    refused(options("letters", &gone, 1, 8, 4), ERR_USE, "gone.txt");
    refused(options("letters", &odd, 1, 2, 2), ERR_USE, ".jsonl");
    refused(options("letters", &text, 1, 8, 1), ERR_USE, "--length");
    refused(options("letters", &text, 1, 8, 0), ERR_USE, "--length");
    refused(options("letters", &text, 1, 32, 17), ERR_USE, "max_position_embeddings");
    refused(options("letters", &text, 1, 3, 4), ERR_USE, "--tokens");
    refused(options("bare", &text, 1, 8, 4), ERR_USE, "tokenizer.json");
    refused(options("letters", &hash, 1, 4, 4), ERR_USE, "id 40");
    refused(options("bare", &ids, 1, 4, 2), ERR_USE, "bad.jsonl:2: token id 30");
    refused(options("letters", &text, 1, 12, 4), ERR_DATA, "need 12 tokens, have 8");
    refused(options("letters", &empty, 1, 4, 4), ERR_DATA, "need 4 tokens, have 0");
    refused(options("letters", &empty, 1, 0, 4), ERR_DATA, "have 0");
    o = options("bare", &ids, 1, 4, 2);
    o.bos = SAMPLE_BOS_YES;
    refused(o, ERR_USE, "BOS");
    o = options("letters", &text, 1, 16, 8);
    o.mode = SAMPLE_HEAD;
    o.bos = SAMPLE_BOS_NO;
    refused(o, ERR_DATA, "need 16 tokens, have 8 in rows");
    o.lanes = 0;
    refused(o, ERR_USE, "--lanes");
    sample_close(NULL);
}

static void concat(void **state)
{
    const char *data[] = {write_file("l.jsonl", LINES), write_file("t.txt", "xyz")};
    struct sample_opts o = options("letters", data, 2, 8, 4);
    struct sample *s;

    (void)state;
    expect_rows_of(o, "abcd|efgh|");
    o.tokens = 0;
    expect_rows_of(o, "abcd|efgh|ijkl|mnop|abcx|");
    o.bos = SAMPLE_BOS_YES;
    expect_rows_of(o, "^abc|^def|^ghi|^jkl|^mno|^pab|^cxy|");
    o.bos = SAMPLE_BOS_AUTO;
    o.tokens = 11; /* two rows; three tokens of the budget remain */
    s = opened(o);
    assert_int_equal(sample_audit(s)->read, 3);
    assert_int_equal(sample_audit(s)->used, 2);
    assert_int_equal(sample_audit(s)->cropped, 1);
    assert_int_equal(sample_audit(s)->dropped, 1);
    assert_int_equal(sample_audit(s)->remainder, 3);
    assert_int_equal(sample_audit(s)->file_tokens[0], 10);
    assert_int_equal(sample_audit(s)->file_tokens[1], 0);
    sample_close(&s);
    o.tokens = 20;
    s = opened(o);
    assert_int_equal(sample_audit(s)->duplicates, 1);
    sample_close(&s);
}

static void rows_of_ids_are_rows(void **state)
{
    const char *data = write_file(
        "i.jsonl", "{\"input_ids\":[1,2,3]}\n{\"input_ids\":[28,28,6]}\n{\"input_ids\":[7,8]}\n");
    struct sample_opts o = options("bare", &data, 1, 6, 3);
    struct sample *s;

    (void)state;
    expect_rows_of(o, "abc|^^f|");
    o.model = path_of("letters");
    o.mode = SAMPLE_HEAD; /* ids are taken as they are: no BOS unless asked for */
    s = opened(o);
    assert_int_equal(sample_audit(s)->double_bos, 1);
    sample_close(&s);
    expect_rows_of(o, "abc|^^f|");
    o.bos = SAMPLE_BOS_YES;
    expect_rows_of(o, "^ab|^^^|");
}

static void head(void **state)
{
    const char *data = write_file("h.jsonl", LINES);
    struct sample_opts o = options("letters", &data, 1, 0, 4);

    (void)state;
    o.mode = SAMPLE_HEAD;
    expect_rows_of(o, "^abc|^def|^klm|^abc|");
    o.bos = SAMPLE_BOS_NO;
    expect_rows_of(o, "defg|klmn|");
    o.tokens = 4;
    expect_rows_of(o, "defg|");
}

static void crops(void **state)
{
    const char *data = write_file("c.jsonl", "{\"text\":\"abcdefghijklm\"}\n{\"text\":\"no\"}\n{"
                                             "\"text\":\"pqrstuv\"}\n{\"text\":\"wxyz\"}\n");
    struct sample_opts o = options("letters", &data, 1, 0, 4);
    char first[256], again[256];
    int differ = 0;
    uint64_t seed;

    (void)state;
    o.mode = SAMPLE_CROPS;
    o.bos = SAMPLE_BOS_NO;
    for (seed = 1; seed <= 20; seed++) {
        struct sample *s;
        size_t row, i, of[3] = {0};

        o.seed = seed;
        o.tokens = 0; /* 13/4 + 7/4 + 4/4 windows */
        s = opened(o);
        rows_text(s, again, sizeof again);
        assert_int_equal(sample_rows(s), 5);
        assert_int_equal(sample_audit(s)->dropped, 1);
        for (row = 0; row < 5; row++) {
            const char *p = again + 5 * row;

            /* a window is consecutive */
            for (i = 1; i < 4; i++)
                assert_int_equal(p[i], p[0] + (int)i);
            of[p[0] >= 'w' ? 2 : p[0] >= 'p' ? 1 : 0]++;
            /* the first round has each document once */
            if (row == 2)
                assert_true(of[0] == 1 && of[1] == 1 && of[2] == 1);
        }
        sample_close(&s);
        o.tokens = 4;
        s = opened(o);
        rows_text(s, again, sizeof again);
        assert_int_equal(sample_rows(s), 1);
        assert_int_equal(sample_audit(s)->passed + sample_audit(s)->dropped, 3);
        sample_close(&s);
        s = opened(o);
        rows_text(s, first, sizeof first);
        assert_string_equal(first, again);
        sample_close(&s);
        differ += again[0] >= 'p';
    }
    /* two of three documents: 20 draws all alike would be a broken draw */
    assert_in_range(differ, 4, 19);
    o.tokens = 24;
    refused(o, ERR_DATA, "need 24 tokens, have 20");
}

/* ---- chunks, lanes, peers ---- */

#define CHUNKS 11
struct got {
    size_t peers, n, last[8];
    unsigned seen;
};

static int take(void *ctx, size_t peer, struct msg **m, struct err *e)
{
    struct got *g = ctx;
    struct chunk_view v;

    assert_int_equal(chunk_read(*m, &v, e), 0);
    assert_true(peer < g->peers);
    assert_int_equal(peer, v.lane % g->peers);
    assert_true(v.chunk >= v.lane * CHUNKS / v.lanes && v.chunk < (v.lane + 1) * CHUNKS / v.lanes);
    assert_true(g->last[peer] <= v.chunk); /* in order */
    g->last[peer] = v.chunk + 1;
    g->seen |= 1u << v.chunk;
    /* all start at once; a fifth worker has nothing to do */
    if (g->n < g->peers && g->n < v.lanes)
        assert_int_equal(peer, g->n);
    g->n++;
    msg_destroy(m);
    return 0;
}

static int fail_third(void *ctx, size_t peer, struct msg **m, struct err *e)
{
    (void)peer;
    if (++*(int *)ctx == 3)
        return err_set(e, ERR_SYS, "no");
    msg_destroy(m);
    return 0;
}

static void some_lanes(const struct sample *s, const char *list, unsigned lanes)
{
    struct got g = {.peers = 1};
    struct err e = {0};
    unsigned seen = 0;

    for (size_t c = 0; c < CHUNKS; c++)
        for (size_t l = 0; l < 4; l++)
            if (lanes >> l & 1 && c >= l * CHUNKS / 4 && c < (l + 1) * CHUNKS / 4)
                seen |= 1u << c;
    assert_int_equal(sample_emit_lanes(s, list, 1, take, &g, &e), 0);
    assert_int_equal(g.seen, seen);
}

static void no_lanes(const struct sample *s, const char *list)
{
    struct got g = {.peers = 1};
    struct err e = {0};

    assert_int_equal(sample_emit_lanes(s, list, 1, take, &g, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "lanes are numbers below 4, as 0,3-5"));
}

static int note_peer(void *ctx, size_t peer, struct msg **m, struct err *e)
{
    struct chunk_view v;

    assert_int_equal(chunk_read(*m, &v, e), 0);
    ((size_t *)ctx)[v.lane] = peer;
    msg_destroy(m);
    return 0;
}

/* Each lane of the list to the next one, whichever lanes these are. */
static void lanes_of_some(const struct sample *s)
{
    size_t peer[4] = {9, 9, 9, 9};
    struct err e = {0};

    assert_int_equal(sample_emit_lanes(s, "0,2-3", 2, note_peer, peer, &e), 0);
    assert_int_equal(peer[0], 0);
    assert_int_equal(peer[1], 9);
    assert_int_equal(peer[2], 1);
    assert_int_equal(peer[3], 0);
}

/* Whoever would be through first gets the next: 1, 1 (at the same time as 0, who comes first in
 * line), 0, 1. */
static void lanes_by_pace(const struct sample *s)
{
    static const double alike[] = {3, 3}, unlike[] = {1, 2.5}, slow[] = {1, 1e-6};
    size_t peer[4] = {9, 9, 9, 9};
    struct err e = {0};

    assert_int_equal(sample_emit(s, 2, alike, note_peer, peer, &e), 0);
    assert_memory_equal(peer, ((const size_t[]){0, 1, 0, 1}), sizeof peer);
    assert_int_equal(sample_emit(s, 2, unlike, note_peer, peer, &e), 0);
    assert_memory_equal(peer, ((const size_t[]){1, 1, 0, 1}), sizeof peer);
    assert_int_equal(sample_emit(s, 2, slow, note_peer, peer, &e), 0);
    assert_memory_equal(peer, ((const size_t[]){0, 0, 0, 0}), sizeof peer);
}

static void paces(void **state)
{
    static const char *const wrong[] = {"",      "w1",    "=2",     "w1=",    "w1=x",
                                        "w1=0",  "w1=-1", "w1=nan", "w1=inf", ",",
                                        "w1=2,", "w1=2 ", "w1=1e9", "w1=2,w2"};
    struct sample_pace *p = NULL;
    struct err e = {0};
    char text[100];
    size_t n;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (paces_parse(wrong[i], &p, &n, &e) == 0)
            fail_msg("'%s' was taken", wrong[i]);
        assert_int_equal(e.kind, ERR_USE);
    }
    memset(text, 'w', sizeof text);
    strcpy(text + LINK_PLACE, "=2");
    assert_int_equal(paces_parse(text, &p, &n, &e), -1);
    assert_int_equal(paces_parse("w1=2.5,forward.2=0.5", &p, &n, &e), 0);
    assert_int_equal(n, 2);
    assert_true(paces_of(p, n, "w1.forward.3") == 2.5);
    assert_true(paces_of(p, n, "w1") == 2.5);
    assert_true(paces_of(p, n, "w10.forward.1") == 1);
    assert_true(paces_of(p, n, "forward.2") == 0.5);
    assert_true(paces_of(p, n, "forward.1") == 1);
    assert_true(paces_of(p, n, "") == 1);
    free(p);
}

static void test_some_lanes(const struct sample *s)
{
    static const char *const wrong[] = {"", "4", "x", "-1", "2-1", "1-4", "1,", ",1", "1-", "1 2"};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        no_lanes(s, wrong[i]);
    some_lanes(s, "0", 1);
    some_lanes(s, "1,3", 10);
    some_lanes(s, "0-2", 7);
    some_lanes(s, "0,2-3", 13);
    some_lanes(s, "0-3", 15);
    lanes_of_some(s);
    lanes_by_pace(s);
}

static void lanes_and_peers(void **state)
{
    const char *data = write_file("lanes.txt", "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqr");
    struct sample_opts o = options("letters", &data, 1, 44, 2);
    struct err e = {0};
    struct sample *s;
    size_t peers;

    (void)state;
    o.chunk_tokens = 5; /* two rows of two */
    o.lanes = 4;
    s = opened(o);
    assert_int_equal(sample_chunks(s), CHUNKS);
    assert_int_equal(sample_lanes(s), 4);
    for (peers = 1; peers <= 5; peers++) {
        struct got g = {.peers = peers};

        assert_int_equal(sample_emit(s, peers, NULL, take, &g, &e), 0);
        assert_int_equal(g.n, CHUNKS);
        assert_int_equal(g.seen, (1u << CHUNKS) - 1);
    }
    assert_int_equal(sample_emit(s, 2, NULL, fail_third, &(int){0}, &e), -1);
    test_some_lanes(s);
    sample_close(&s);
    o.chunk_tokens = 1; /* at least one row */
    o.lanes = 100;
    s = opened(o);
    assert_int_equal(sample_chunks(s), 22);
    assert_int_equal(sample_lanes(s), 22);
    sample_close(&s);
}

static void provenance(void **state)
{
    const char *a = write_file("one.jsonl", LINES), *b = write_file("two.jsonl", LINES),
               *c = write_file("three.jsonl", LINES "{\"text\":\"z\"}\n");
    struct sample *s = opened(options("letters", &a, 1, 8, 4)),
                  *same = opened(options("letters", &b, 1, 8, 4));
    struct sample *other = opened(options("letters", &c, 1, 8, 4));
    struct err e = {0};
    struct msg *m = sample_chunk(s, 1, &e);
    struct chunk_view v;
    const struct json *r = sample_record(s);
    char *text = json_print(r, 0, &e);

    (void)state;
    assert_string_equal(sample_run(s), sample_run(same)); /* of contents, not of names */
    assert_string_not_equal(sample_run(s), sample_run(other));
    assert_non_null(m);
    assert_string_equal(m->run, sample_run(s));
    assert_int_equal(chunk_read(m, &v, &e), 0);
    assert_int_equal(json_count(v.prov), 1);
    assert_string_equal(json_as_text(json_get(json_at(v.prov, 0), "stage")), "sample");
    assert_string_equal(json_as_text(json_get(r, "mode")), "concat");
    assert_int_equal(strlen(json_as_text(json_get(r, "data"))), 16);
    assert_int_equal(strlen(json_as_text(json_get(r, "tokenizer"))), 16);
    assert_int_equal(json_count(json_get(json_get(r, "audit"), "lengths")), 1);
    assert_null(strstr(text, dir));
    free(text);
    msg_destroy(&m);
    sample_close(&s);
    sample_close(&same);
    sample_close(&other);
}

/* The demo's own data, which its tokenizer must cut into ids of its model. */
static void demo_data(void **state)
{
    const char *data = "pipelines/demo/tale-qwen3/calib.jsonl";
    struct sample_opts o = options("", &data, 1, 65536, 512);
    struct sample *s;

    (void)state;
    o.model = "pipelines/demo/tale-qwen3";
    s = opened(o);
    assert_int_equal(sample_rows(s), 128);
    assert_int_equal(sample_tokens(s), 65536);
    sample_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_input),
        cmocka_unit_test(concat),
        cmocka_unit_test(rows_of_ids_are_rows),
        cmocka_unit_test(head),
        cmocka_unit_test(crops),
        cmocka_unit_test(lanes_and_peers),
        cmocka_unit_test(paces),
        cmocka_unit_test(provenance),
        cmocka_unit_test(demo_data),
    };

    return cmocka_run_group_tests_name("sample", tests, set_up, tear_down);
}
