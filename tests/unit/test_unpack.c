/* SPDX-License-Identifier: Apache-2.0 */
/* test_unpack - packed data: what is refused, then contents in pieces of every length, lists of
 * documents, and what a name, or the contents without one, say of a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/text/docs.h"
#include "../../common/text/unpack.h"

/* printf 'one\ntwo\n' and printf 'three\n', each through gzip -n, with a tape's zeros behind them;
 * the same through zstd -c. */
static const unsigned char gzip[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xcb, 0xcf, 0x4b, 0xe5, 0x2a,
    0x29, 0xcf, 0xe7, 0x02, 0x00, 0xe6, 0x0b, 0xba, 0x12, 0x08, 0x00, 0x00, 0x00, 0x1f, 0x8b,
    0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0x2b, 0xc9, 0x28, 0x4a, 0x4d, 0xe5, 0x02,
    0x00, 0xd8, 0xc5, 0x46, 0xff, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00};
static const unsigned char zstd[] = {0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x41, 0x00, 0x00, 0x6f,
                                     0x6e, 0x65, 0x0a, 0x74, 0x77, 0x6f, 0x0a, 0xe6, 0xa6, 0x0e,
                                     0x40, 0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x31, 0x00, 0x00,
                                     0x74, 0x68, 0x72, 0x65, 0x65, 0x0a, 0xd7, 0x06, 0xfd, 0x28};
#define CONTENT "one\ntwo\nthree\n"

struct got {
    char text[64];
    size_t n;
    int fail;
};

static int put(void *ctx, const void *data, size_t n, struct err *e)
{
    struct got *g = ctx;

    if (g->fail)
        return err_set(e, ERR_SYS, "no room");
    assert_true(g->n + n < sizeof g->text);
    memcpy(g->text + g->n, data, n);
    g->n += n;
    return 0;
}

/* In pieces of `step` bytes. -1: as *e says. */
static int unpacked(const unsigned char *data, size_t n, size_t step, struct got *g, struct err *e)
{
    struct unpack *u = unpack_open(unpack_kind_of(data, n), "x.gz", e);
    int rc = 0;

    assert_non_null(u);
    for (size_t i = 0; i < n && rc == 0; i += step)
        rc = unpack_feed(u, data + i, step < n - i ? step : n - i, put, g, e);
    if (rc == 0)
        rc = unpack_end(u, e);
    unpack_close(&u);
    assert_null(u);
    return rc;
}

static void test_refused(void **state)
{
    const struct {
        const unsigned char *data;
        size_t n;
    } all[] = {{gzip, sizeof gzip}, {zstd, sizeof zstd}};

    (void)state;
    assert_int_equal(unpack_kind_of("", 0), UNPACK_NONE);
    assert_int_equal(unpack_kind_of(gzip, 1), UNPACK_NONE);
    assert_int_equal(unpack_kind_of(zstd, 3), UNPACK_NONE);
    assert_int_equal(unpack_kind_of("{\"te", 4), UNPACK_NONE);
    for (size_t k = 0; k < 2; k++) {
        struct got g = {.fail = 1};
        unsigned char bad[128];
        struct err e = {0};

        assert_int_equal(unpacked(all[k].data, all[k].n, 8, &g, &e), -1);
        assert_string_equal(e.text, "no room");
        g = (struct got){.n = 0};
        assert_int_equal(unpacked(all[k].data, 15, 8, &g, &e), -1);
        assert_int_equal(e.kind, ERR_USE);
        assert_non_null(strstr(e.text, "x.gz: cut short"));
        memcpy(bad, all[k].data, all[k].n);
        memset(bad + 12, 0xFF, 8);
        g = (struct got){.n = 0};
        assert_int_equal(unpacked(bad, all[k].n, all[k].n, &g, &e), -1);
        assert_int_equal(e.kind, ERR_USE);
        assert_non_null(strstr(e.text, "damaged"));
        memcpy(bad, all[k].data, all[k].n); /* no member behind a member */
        memcpy(bad + all[k].n, "more", 5);
        g = (struct got){.n = 0};
        assert_int_equal(unpacked(bad, all[k].n + 4, 8, &g, &e), -1);
        assert_int_equal(e.kind, ERR_USE);
    }
}

static void test_pieces(void **state)
{
    (void)state;
    for (size_t step = 1; step < 70; step++) {
        struct got a = {.n = 0}, b = {.n = 0};
        struct err e = {0};

        assert_int_equal(unpacked(gzip, sizeof gzip, step, &a, &e), 0);
        assert_string_equal(a.text, CONTENT);
        assert_int_equal(unpacked(zstd, sizeof zstd, step, &b, &e), 0);
        assert_string_equal(b.text, CONTENT);
    }
}

/* ---- files ---- */

static char dir[] = "/tmp/ptq-unpack-XXXXXX";

/* All texts of a file, "|" behind each; "!" and the error where there is one. */
static void expect_file(const char *name, const void *data, size_t n, const char *want)
{
    const struct docs_opts o = {.bad_lines = DOCS_BAD_REFUSE};
    struct data_file f;
    struct err e = {0};
    struct docs *r;
    struct doc d;
    char path[96], got[900] = "";
    size_t used = 0;
    int rc;

    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(fs_publish(path, data, n, &e), 0);
    rc = data_file_open(&f, path, &e);
    r = rc == 0 ? docs_open(&f, &o, &e) : NULL;
    rc = r ? 0 : -1;
    while (r && (rc = docs_next(r, &d, &e)) == 1) {
        used += (size_t)snprintf(got + used, sizeof got - used, "%s|", d.text ? d.text : "?");
        doc_release(&d);
    }
    if (rc != 0)
        snprintf(got + used, sizeof got - used, "!%s", e.text);
    docs_close(&r);
    data_file_close(&f);
    if (*want == '!' ? !strstr(got, want + 1) : strcmp(got, want))
        fail_msg("%s: '%s', not '%s'", name, got, want);
    unlink(path);
}

static void expect_list(const char *text, const char *want)
{
    expect_file("x.json", text, strlen(text), want);
}

static void test_files(void **state)
{
    (void)state;
    expect_file("a.csv", "a", 1, "!.txt, .jsonl or .json file, each also as .gz or .zst");
    expect_file("a.gz", gzip, sizeof gzip, "!.txt, .jsonl or .json file");
    expect_file("a.parquet", "PAR1", 4, "!a.parquet: a damaged parquet file: it is too short");
    expect_file("a.txt.gz", "plain", 5, "!a.txt.gz: what it holds is not packed as its name says");
    expect_file("a.txt.zst", gzip, sizeof gzip, "!not packed as its name says (zstd)");
    expect_file("a.txt.gz", gzip, 20, "!cut short");
    expect_file("a.txt.gz", gzip, sizeof gzip, CONTENT "|");
    expect_file("a.txt.zst", zstd, sizeof zstd, CONTENT "|");
    expect_file("a.txt", zstd, sizeof zstd, CONTENT "|");
    expect_file("a.jsonl.gz", gzip, sizeof gzip, "!a.jsonl.gz:1: not valid JSON");
}

static void test_lists(void **state)
{
    (void)state;
    expect_list("", "");
    expect_list("[]", "");
    expect_list(" [ ]\n", "");
    expect_list("\xEF\xBB\xBF[\"a\"]", "a|");
    expect_list("[{\"text\":\"a]}\\\"\"},\n{\"text\":\"b\"} , \"c\"]\n", "a]}\"|b|c|");
    expect_list("[{\"n\":[{}],\"text\":\"a\"}]", "a|");
    expect_list("{\"text\":\"a\"}\n{\"text\":\"b\"}\n", "a|b|");
    expect_list("[", "!not a list in JSON");
    expect_list("[\"a\"", "!neither ',' nor ']' behind element 1");
    expect_list("[\"a\",", "!ends inside of element 2");
    expect_list("[\"a\",]", "!nothing behind element 1");
    expect_list("[\"a\" \"b\"]", "!neither ',' nor ']' behind element 1");
    expect_list("[\"a\"] x", "!something behind the list");
    expect_list("[\"a\", {\"text\": \"b]", "!ends inside of element 2");
    expect_list("[\"a\", 7]", "!x.json:2: not valid JSON");
    expect_list("[\"a\", {\"text\": 3}]", "!x.json:2: \"text\" must be a text (--bad-lines skip");
    expect_list("[\"a\", [\"b\"]]", "!x.json:2: ");
    expect_list("[,\"a\"]", "!x.json:1: ");
}

/* Elements that are no documents are skipped, the list goes on. */
static void test_skipped(void **state)
{
    static const char text[] = "[{\"text\":1},\"a\",[],{\"text\":\"b\"}]";
    const struct docs_opts o = {.bad_lines = DOCS_BAD_SKIP};
    struct err e = {0};
    struct data_file f;
    struct docs *r;
    struct doc d;
    char path[96];

    (void)state;
    snprintf(path, sizeof path, "%s/s.json", dir);
    assert_int_equal(fs_publish(path, text, strlen(text), &e), 0);
    assert_int_equal(data_file_open(&f, path, &e), 0);
    assert_non_null(r = docs_open(&f, &o, &e));
    assert_int_equal(docs_next(r, &d, &e), 1);
    assert_true(d.line == 2 && !strcmp(d.text, "a"));
    doc_release(&d);
    assert_int_equal(docs_next(r, &d, &e), 1);
    assert_true(d.line == 4 && !strcmp(d.text, "b"));
    doc_release(&d);
    assert_int_equal(docs_next(r, &d, &e), 0);
    assert_int_equal(docs_next(r, &d, &e), 0);
    assert_int_equal(docs_counted(r)->skipped, 2);
    assert_non_null(strstr(docs_counted(r)->first, "s.json:1: "));
    docs_close(&r);
    data_file_close(&f);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct err e = {0};

    (void)state;
    return fs_remove_tree(dir, &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_files),   cmocka_unit_test(test_lists),
        cmocka_unit_test(test_skipped),
    };

    return cmocka_run_group_tests_name("unpack", tests, set_up, tear_down);
}
