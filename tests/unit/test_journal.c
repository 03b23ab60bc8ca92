/* SPDX-License-Identifier: Apache-2.0 */
/* The journal: what is refused, what a cut leaves, what is read back. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/run/journal.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses),
        cmocka_unit_test(appends_and_reads_back),
        cmocka_unit_test(drops_half_a_line),
    };

    return cmocka_run_group_tests_name("journal", tests, make_dir, remove_dir);
}
