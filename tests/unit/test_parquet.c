/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of Parquet files against the same rows as pyarrow wrote and read them
 * (tests/golden/parquet), and what is refused. */
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
#include "../../common/base/json.h"
#include "../../common/base/mem.h"
#include "../../common/text/docs.h"
#include "../../common/text/parquet.h"

#define GOLDEN "tests/golden/parquet/"

static const char *const all[] = {
    "id",        "text",       "url",       "messages",       "tools",  "labels",
    "system",    "input",      "output",    "prompt",         "images", "image",
    "documents", "completion", "input_ids", "attention_mask", NULL};

static char path[64];

static char *canonical(const char *text, size_t n, const char *what)
{
    struct err e = {0};
    struct json *j = json_parse(text, n, what, &e);
    char *out = j ? json_print(j, 0, &e) : NULL;

    if (!out)
        fail_msg("%s in %.*s", e.text, (int)n, text);
    json_destroy(&j);
    return out;
}

/* Row by row the lines of NAME.jsonl. */
static void same_rows(const char *name)
{
    char file[96], lines[96], *text, *line, *end;
    const char *row;
    struct err e = {0};
    struct parquet *p;
    size_t n, i = 0;
    int got;

    snprintf(file, sizeof file, GOLDEN "%s.parquet", name);
    snprintf(lines, sizeof lines, GOLDEN "%s.jsonl", name);
    assert_non_null(line = text = fs_read(lines, 1 << 20, &n, &e));
    if (!(p = parquet_open(file, file, all, &e)))
        fail_msg("%s", e.text);
    while ((got = parquet_next(p, &row, &n, &e)) == 1) {
        char *is = canonical(row, n, file), *want;

        assert_non_null(end = strchr(line, '\n'));
        want = canonical(line, (size_t)(end - line), lines);
        if (strcmp(is, want) != 0)
            fail_msg("%s, row %zu:\n%s\n%s", name, i, is, want);
        free(is);
        free(want);
        line = end + 1;
        i++;
    }
    if (got < 0)
        fail_msg("%s", e.text);
    assert_true(*line == '\0' && i > 20);
    parquet_close(&p);
    free(text);
}

static void rows_of_pyarrow(void **state)
{
    static const char *const names[] = {"dictionary",  "fallback", "plain",  "delta_length",
                                        "delta_bytes", "chats",    "chats2", "ids",
                                        "ids_delta",   "odd",      "odd1"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        same_rows(names[i]);
}

/* As documents: an error that has this part. */
static void refused(const char *file, const char *column, const char *part)
{
    const struct docs_opts o = {.text_column = column};
    struct data_file f;
    struct err e = {0};
    struct docs *r;
    struct doc d;
    int got = -1;

    r = data_file_open(&f, file, &e) == 0 ? docs_open(&f, &o, &e) : NULL;
    while (r && (got = docs_next(r, &d, &e)) == 1)
        doc_release(&d);
    if (got != -1 || e.kind != ERR_USE || !strstr(e.text, part))
        fail_msg("%s: '%s' does not name '%s'", file, e.text, part);
    docs_close(&r);
    data_file_close(&f);
}

static void what_is_refused(void **state)
{
    (void)state;
    refused(GOLDEN "brotli.parquet", NULL, "column 'text' is packed with BROTLI");
    refused(GOLDEN "lz4.parquet", NULL, "column 'text' is packed with LZ4");
    refused(GOLDEN "split.parquet", NULL, "column 'prompt': encoding BYTE_STREAM_SPLIT");
    refused(GOLDEN "decimal.parquet", NULL, "column 'text' holds 'text' of type DECIMAL");
    refused(GOLDEN "picture.parquet", NULL, "column 'image' holds pictures themselves ('bytes')");
    refused(GOLDEN "other.parquet", NULL, "other.parquet:1: a line needs either \"text\"");
    refused(GOLDEN "other.parquet", NULL, "--text-column NAME reads another: \"story\")");
    refused(GOLDEN "other.parquet", "n", "\"n\" must be a text");
    refused(GOLDEN "other.parquet", "m",
            "no text \"m\", as --text-column says; there are \"story\"");
}

static void write_bytes(const char *data, size_t n)
{
    FILE *f = fopen(path, "wb"); /* not as fs_publish does it: many times, and not to last */

    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

/* Cut at every place, and with every byte another: refused, or rows. */
static void damaged_files(void **state)
{
    struct err e = {0};
    size_t n;
    char *data = fs_read(GOLDEN "chats.parquet", 1 << 20, &n, &e);

    (void)state;
    assert_non_null(data);
    write_bytes("PAR1", 4);
    refused(path, NULL, "too short");
    write_bytes("PAR1\0\0\0\0\0\0\0\0PARE", 16);
    refused(path, NULL, "encrypted");
    write_bytes("PAR1\0\0\0\0\xff\xff\xff\x7fPAR1", 16);
    refused(path, NULL, "longer than it can be");
    write_bytes("PAR1\0\0\0\0\0\0\0\0PAR1", 16);
    refused(path, NULL, "its end is not readable");
    write_bytes(data, n - 1);
    refused(path, NULL, "it does not end as one");
    for (size_t i = 0; i < n; i += 11) {
        const char was = data[i];
        struct parquet *p;
        const char *row;
        size_t length, rows = 0;

        data[i] = (char)(was ^ (1 << i % 8));
        write_bytes(data, n);
        e = (struct err){0};
        if ((p = parquet_open(path, path, all, &e)))
            while (rows < 100 && parquet_next(p, &row, &length, &e) == 1)
                rows++;
        parquet_close(&p);
        data[i] = was;
    }
    free(data);
}

/* What pages say of themselves is checked: a byte of a text, where there is a checksum. */
static void checksums(void **state)
{
    struct err e = {0};
    size_t n;
    char *data = fs_read(GOLDEN "plain.parquet", 1 << 20, &n, &e), *at;

    (void)state;
    assert_non_null(data);
    assert_non_null(at = memmem(data, n, "point", 5));
    *at = 'P';
    write_bytes(data, n);
    refused(path, NULL, "the checksum of a page");
    free(data);
}

/* A folder: its .parquet files by name, else its .jsonl files. */
static void folders(void **state)
{
    static const char *const line = "{\"text\": \"x\"}\n";
    char dir[] = "/tmp/ptq-parquet-XXXXXX", name[96], *data;
    const struct docs_opts o = {.text_column = "text"};
    struct data_file f;
    struct docs *r;
    struct doc d;
    struct err e = {0};
    size_t n, rows = 0;
    uint64_t digest, other;

    (void)state;
    assert_non_null(mkdtemp(dir));
    refused(dir, NULL, "a folder without a .parquet or .jsonl file");
    snprintf(name, sizeof name, "%s/b.jsonl", dir);
    assert_int_equal(fs_publish(name, line, strlen(line), &e), 0);
    assert_int_equal(data_file_open(&f, dir, &e), 0);
    assert_int_equal(data_file_digest(&f, &other, &e), 0);
    assert_non_null(r = docs_open(&f, &o, &e));
    assert_int_equal(docs_next(r, &d, &e), 1);
    assert_string_equal(d.file, name);
    doc_release(&d);
    assert_int_equal(docs_next(r, &d, &e), 0);
    docs_close(&r);
    data_file_close(&f);
    for (char c = 'c'; c >= 'a'; c--) {
        snprintf(name, sizeof name, GOLDEN "%s.parquet", c == 'b' ? "empty" : "picture");
        assert_non_null(data = fs_read(name, 1 << 20, &n, &e));
        snprintf(name, sizeof name, "%s/%c.parquet", dir, c);
        assert_int_equal(fs_publish(name, data, n, &e), 0);
        free(data);
    }
    assert_int_equal(data_file_open(&f, dir, &e), 0);
    assert_int_equal(data_file_digest(&f, &digest, &e), 0);
    assert_true(digest != other);
    assert_non_null(r = docs_open(&f, &o, &e));
    while (docs_next(r, &d, &e) == 1) {
        snprintf(name, sizeof name, "%s/%c.parquet", dir, rows++ ? 'c' : 'a');
        assert_string_equal(d.file, name);
        assert_int_equal(d.line, 1);
        assert_string_equal(d.text, "a");
        doc_release(&d);
    }
    if (rows != 2)
        fail_msg("%zu rows, %s", rows, e.text);
    docs_close(&r);
    data_file_close(&f);
    assert_int_equal(fs_remove_tree(dir, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_pyarrow), cmocka_unit_test(what_is_refused),
        cmocka_unit_test(damaged_files),   cmocka_unit_test(checksums),
        cmocka_unit_test(folders),
    };
    int rc;

    snprintf(path, sizeof path, "/tmp/ptq-parquet-%ld.parquet", (long)getpid());
    rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return rc;
}
