/* SPDX-License-Identifier: Apache-2.0 */
/* Links to files: what was there stays until a whole stream takes its place. */
#include "link_pair.h"

static void put(const char *text)
{
    struct err e = {0};

    assert_int_equal(fs_publish(path, text, strlen(text), &e), 0);
}

static void holds(const char *text)
{
    struct err e = {0};
    size_t n;
    char *now = fs_read(path, 1 << 20, &n, &e);

    assert_non_null(now);
    assert_string_equal(now, text);
    free(now);
}

static size_t files(void)
{
    struct err e = {0};
    char **names;
    size_t n;

    assert_int_equal(fs_list(folder, &names, &n, &e), 0);
    fs_names_free(&names, n);
    return n;
}

static void same_file(const char *endpoint, enum link_dir dir)
{
    struct err e = {0};

    assert_null(link_open(endpoint, dir, dir == LINK_IN ? IN() : OUT(), &e));
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "same file"));
}

static void test_the_file_that_is_read_is_not_written(void **state)
{
    char other[160];
    struct link *l;

    (void)state;
    put("old");
    snprintf(other, sizeof other, "%s.link", path);
    assert_int_equal(symlink(path, other), 0);
    l = open_ok(path, LINK_IN, IN());
    same_file(path, LINK_OUT);
    same_file(other, LINK_OUT);
    link_close(&l);
    l = open_ok(other, LINK_OUT, OUT());
    same_file(path, LINK_IN);
    same_file(path, LINK_OUT);
    link_close(&l);
    unlink(other);
    snprintf(other, sizeof other, "%s/./f.new", folder);
    l = open_ok(other, LINK_OUT, OUT());
    same_file(other, LINK_OUT);
    link_close(&l);
    holds("old");
}

static void test_what_was_there_stays_until_the_end(void **state)
{
    size_t before;
    struct err e = {0};
    struct link *l;

    (void)state;
    put("old");
    before = files();
    l = open_ok(path, LINK_OUT, OUT());
    holds("old");
    link_close(&l);
    holds("old");

    l = open_ok(path, LINK_OUT, OUT());
    send_ok(l, 0, 1000);
    assert_int_equal(link_end(l, 0, "no more paper", &e), 0);
    link_close(&l);
    holds("old");
    assert_int_equal(files(), before);

    l = open_ok(path, LINK_OUT, OUT());
    send_ok(l, 0, 1000);
    holds("old");
    end_ok(l);
    link_close(&l);
    l = open_ok(path, LINK_IN, IN());
    recv_ok(l, 0);
    recv_end(l);
    link_close(&l);
    assert_int_equal(files(), before);
}

static void test_a_run_that_sends_nothing_leaves_nothing(void **state)
{
    size_t before = files();
    struct link *l = open_ok(path, LINK_OUT, OUT());

    (void)state;
    link_close(&l);
    assert_int_equal(files(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_the_file_that_is_read_is_not_written, setup),
        cmocka_unit_test_setup(test_what_was_there_stays_until_the_end, setup),
        cmocka_unit_test_setup(test_a_run_that_sends_nothing_leaves_nothing, setup),
    };

    return link_tests_run("link_file", tests, sizeof tests / sizeof *tests);
}
