/* SPDX-License-Identifier: Apache-2.0 */
/* The journal: what is refused, what a cut leaves, what is read back. */
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/run/journal.h"
#include "../../common/run/journal_site.h"

static char dir[] = "/tmp/ptq-journal-XXXXXX", path[64];

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof path, "%s/journal.jsonl", dir);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    return fs_remove_tree(dir, NULL);
}

static void put(const char *text)
{
    struct err e = {0};

    assert_int_equal(fs_publish(path, text, strlen(text), &e), 0);
}

static struct json *record(const char *text)
{
    struct err e = {0};
    struct json *r = json_parse(text, strlen(text), "record", &e);

    assert_non_null(r);
    return r;
}

static void refuses(void **state)
{
    struct err e = {0};
    struct json *r = NULL;
    struct journal *j;
    int cut;

    (void)state;
    put("{\"record\":\"site\"}\nnot json\n");
    assert_null(journal_open(path, &e));
    assert_non_null(strstr(e.text, "line 2"));
    put("{\"record\":\"dance\"}\n");
    assert_null(journal_open(path, &e));
    assert_non_null(strstr(e.text, "line 1"));
    put("[1]\n");
    assert_null(journal_open(path, &e));
    put("{\"record\":\"start\",\"format\":99}\n");
    assert_null(journal_open(path, &e));
    assert_non_null(strstr(e.text, "format 99"));
    put("");
    assert_null(journal_open("/nowhere/at/all", &e));
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_null(journal_open(path, &e)); /* and does not wait for a reader or a writer */
    assert_non_null(strstr(e.text, "not a regular file"));
    assert_null(journal_read(path, &cut, &e));
    unlink(path);
    put("");
    assert_non_null(j = journal_open(path, &e));
    assert_int_equal(journal_append(j, &r, &e), -1);
    r = record("{\"record\":\"other\"}");
    assert_int_equal(journal_append(j, &r, &e), -1);
    assert_null(r);
    assert_int_equal(journal_count(j), 0);
    journal_close(&j);
    journal_close(&j);
    journal_close(NULL);
}

static void appends_and_reads_back(void **state)
{
    struct err e = {0};
    struct journal *j;
    struct json *r;
    int64_t order = 0;

    (void)state;
    put("");
    assert_non_null(j = journal_open(path, &e));
    assert_null(journal_last(j, "site"));
    r = record("{\"record\":\"start\",\"format\":1}");
    assert_int_equal(journal_append(j, &r, &e), 0);
    assert_null(r);
    for (int i = 0; i < 3; i++) {
        r = record("{\"record\":\"site\"}");
        json_set_int(r, "order", i);
        assert_int_equal(journal_append(j, &r, &e), 0);
    }
    journal_close(&j);
    assert_non_null(j = journal_open(path, &e));
    assert_int_equal(journal_count(j), 4);
    assert_int_equal(json_as_int(json_get(journal_last(j, "site"), "order"), &order), 0);
    assert_int_equal(order, 2);
    assert_null(journal_last(j, "done"));
    assert_non_null(json_get(journal_last(j, "start"), "format"));
    assert_int_equal(journal_clear(j, &e), 0);
    assert_int_equal(journal_count(j), 0);
    r = record("{\"record\":\"done\"}");
    assert_int_equal(journal_append(j, &r, &e), 0);
    journal_close(&j);
    assert_non_null(j = journal_open(path, &e));
    assert_int_equal(journal_count(j), 1);
    journal_close(&j);
}

/* A run that is gone on with makes later sites anew; what else is there stays. */
static void forgets_sites(void **state)
{
    struct err e = {0};
    struct journal *j;
    struct json *r;
    char *text;
    size_t n;

    (void)state;
    put("{\"record\":\"start\",\"format\":1}\n{\"record\":\"site\",\"order\":0}\n"
        "{\"record\":\"site\",\"order\":2}\n{\"record\":\"site\",\"order\":1}\n");
    assert_non_null(j = journal_open(path, &e));
    assert_int_equal(journal_forget(j, 3, &e), 0);
    assert_int_equal(journal_count(j), 4);
    assert_int_equal(journal_forget(j, 1, &e), 0);
    assert_int_equal(journal_count(j), 2);
    assert_non_null(json_get(journal_at(j, 1), "order"));
    r = record("{\"record\":\"resume\",\"from\":1}");
    assert_int_equal(journal_append(j, &r, &e), 0);
    journal_close(&j);
    assert_non_null(text = fs_read(path, 1000, &n, &e));
    assert_string_equal(text, "{\"record\":\"start\",\"format\":1}\n{\"record\":\"site\","
                              "\"order\":0}\n{\"record\":\"resume\",\"from\":1}\n");
    free(text);
}

/* A power cut in the middle of a line: the line is gone, the next append starts a new one. */
static void drops_half_a_line(void **state)
{
    struct err e = {0};
    struct journal *j;
    struct json *r;
    char *text;
    size_t n;

    (void)state;
    put("{\"record\":\"site\",\"order\":0}\n{\"record\":\"si");
    assert_non_null(j = journal_open(path, &e));
    assert_int_equal(journal_count(j), 1);
    r = record("{\"record\":\"done\"}");
    assert_int_equal(journal_append(j, &r, &e), 0);
    journal_close(&j);
    assert_non_null(text = fs_read(path, 1000, &n, &e));
    assert_string_equal(text, "{\"record\":\"site\",\"order\":0}\n{\"record\":\"done\"}\n");
    free(text);
}

/* A reader takes what it does not know, and what is not whole yet, without changing the file. */
static void reads_while_it_grows(void **state)
{
    const char *text = "{\"record\":\"dance\"}\n{\"record\":\"si";
    struct err e = {0};
    struct json *r;
    int cut = 0;
    char *after;
    size_t n;

    (void)state;
    assert_null(journal_read("/nowhere/at/all", &cut, &e));
    put("{\"record\":\"done\"}\n{}\n");
    assert_null(journal_read(path, &cut, &e));
    assert_non_null(strstr(e.text, "line 2"));
    put(text);
    assert_non_null(r = journal_read(path, &cut, &e));
    assert_int_equal(json_count(r), 1);
    assert_int_equal(cut, 1);
    json_destroy(&r);
    assert_non_null(after = fs_read(path, 1000, &n, &e));
    assert_string_equal(after, text);
    free(after);
    put("{\"record\":\"done\"}\n");
    assert_non_null(r = journal_read(path, &cut, &e));
    assert_int_equal(cut, 0);
    json_destroy(&r);
}

static void refuses_sites(void **state)
{
    static const char *const bad[] = {
        "{\"site\":\"a\",\"sites\":2,\"order\":2,\"block\":0}",
        "{\"sites\":2,\"order\":0,\"block\":0}",
        "{\"site\":\"a\",\"sites\":2,\"order\":0,\"block\":0,\"tokens\":-5}",
        "{\"site\":\"a\",\"sites\":2,\"order\":0,\"block\":0,\"lengths\":[[1,2]]}",
        "{\"site\":\"a\",\"sites\":2,\"order\":0,\"block\":0,\"classes\":[{\"kind\":\"length\"}]}",
        "{\"site\":\"a\",\"sites\":2,\"order\":0,\"block\":0,\"contenders\":[{\"loss\":1}]}",
        "{\"site\":\"a\",\"sites\":2,\"order\":0,\"block\":0,\"linears\":[{\"bits\":\"4\"}]}"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        struct json *r = record(bad[i]);
        struct journal_site s;

        assert_int_equal(journal_site_read(r, &s, "line 7", &e), -1);
        assert_non_null(strstr(e.text, "line 7"));
        json_destroy(&r);
    }
}

/* What is written is read back; what is not known stays so. */
static void sites_go_and_come(void **state)
{
    struct journal_linear linear[] = {
        {.name = "q", .grid = "sym", .rows = 8, .bits = 4, .group = -1, .loss = 0.5, .bound = NAN},
        {.name = "k", .rows = 2, .kept = 1}};
    struct journal_site s = {.order = 3,
                             .sites = 4,
                             .block = 1,
                             .name = "attn.qkv",
                             .run = "r",
                             .digest = "d",
                             .nlinears = 2,
                             .linear = linear,
                             .loss = 0.5,
                             .rel_loss = NAN,
                             .solver = "gptq",
                             .dead = -1,
                             .tokens = 64};
    struct json *r = journal_site_record(&s);
    struct journal_site t;
    struct err e = {0};

    (void)state;
    assert_non_null(r);
    assert_int_equal(json_kind(json_get(r, "dead")), JSON_KIND_NULL);
    assert_null(json_get(r, "contenders"));
    assert_int_equal(journal_site_read(r, &t, "line", &e), 0);
    assert_int_equal(t.order, 3);
    assert_string_equal(t.name, "attn.qkv");
    assert_true(isnan(t.rel_loss));
    assert_int_equal(t.dead, -1);
    assert_int_equal(t.tokens, 64);
    assert_null(t.fallback);
    assert_int_equal(t.nlinears, 2);
    assert_int_equal(t.linear[0].group, -1);
    assert_true(isnan(t.linear[0].bound));
    assert_int_equal(t.linear[1].kept, 1);
    assert_int_equal(t.linear[1].bits, -1);
    journal_site_release(&t);
    json_destroy(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(appends_and_reads_back),
        cmocka_unit_test(forgets_sites),
        cmocka_unit_test(drops_half_a_line),
        cmocka_unit_test(reads_while_it_grows),
        cmocka_unit_test(refuses_sites),
        cmocka_unit_test(sites_go_and_come),
    };

    return cmocka_run_group_tests_name("journal", tests, make_dir, remove_dir);
}
