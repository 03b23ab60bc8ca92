/* SPDX-License-Identifier: Apache-2.0 */
/* Outputs are none of the inputs, under whatever name, and no two outputs are one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/base/apart.h"
#include "../../common/base/fs.h"

static char root[64];

static int fresh(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/ptq_apart_XXXXXX");
    return mkdtemp(root) && chdir(root) == 0 && fs_mkdir("m", NULL) == 0 &&
                   fs_mkdir("d", NULL) == 0 && fs_publish("data", "x", 1, NULL) == 0 &&
                   fs_publish("m/config.json", "{}", 2, NULL) == 0 &&
                   fs_publish("m/own.ptq", "x", 1, NULL) == 0 && symlink("data", "link") == 0 &&
                   link("data", "hard") == 0 && symlink("m/config.json", "c") == 0
               ? 0
               : -1;
}

static int drop(void **state)
{
    (void)state;
    return chdir("/") == 0 ? fs_remove_tree(root, NULL) : -1;
}

/* What is said of an output beside something that is read, "" when nothing is. */
static const char *beside(const char *out, const char *reads)
{
    static char text[sizeof((struct err *)0)->text];
    const struct apart_file f[] = {{"--out", out, OPT_WRITES}, {"--data", reads, OPT_READS}};
    struct err e = {0};

    *text = '\0';
    if (apart_check(f, 2, &e) < 0)
        snprintf(text, sizeof text, "%s", e.text);
    return text;
}

static void what_is_read_is_not_written(void **state)
{
    static const char *const names[] = {"data", "./data", "link", "hard", "d/../data"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_string_equal(beside(names[i], "data"), "--data and --out are the same file 'data'");
    assert_string_equal(beside("m/config.json", "m"),
                        "--out: 'm/config.json' is a file of --data 'm': write to another one");
    assert_string_equal(beside("c", "m/"),
                        "--out: 'c' is a file of --data 'm/': write to another one");
    assert_string_equal(beside("m/own.ptq", "m"), ""); /* no part of a checkpoint */
    assert_string_equal(beside("m/new", "m"), "");
    assert_string_equal(beside("other", "data"), "");
    assert_string_equal(beside("-", "-"), "");
    assert_string_equal(beside("@ipc:///x", "@ipc:///x"), "");
    assert_string_equal(beside("/dev/null", "/dev/null"), "");
    assert_string_equal(beside("other", NULL), "");
    assert_string_equal(beside(NULL, "data"), "");
    assert_string_equal(beside("other", "none"), "");
}

static void two_outputs_are_two(void **state)
{
    static const char *const same[][2] = {
        {"new", "new"}, {"new", "./new"}, {"new", "d/../new"}, {"new/", "new"}, {"d", "d/"}};
    static const char *const apart[][2] = {
        {"new", "new2"}, {"new", "d/new"}, {"new", NULL}, {"/dev/null", "/dev/null"}};
    struct err e = {0};

    (void)state;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        const struct apart_file f[] = {{"--a", same[i][0], OPT_WRITES},
                                       {"--b", same[i][1], OPT_WRITES}};

        assert_int_equal(apart_check(f, 2, &e), -1);
        assert_non_null(strstr(e.text, "--a and --b are the same file"));
    }
    for (size_t i = 0; i < sizeof apart / sizeof *apart; i++) {
        const struct apart_file f[] = {{"--a", apart[i][0], OPT_WRITES},
                                       {"--b", apart[i][1], OPT_WRITES}};

        assert_int_equal(apart_check(f, 2, &e), 0);
    }
}

struct command {
    const char *out, *keep, *free;
    struct opt_texts data;
};
static const struct opt rows[] = {
    {"out", OPT_TEXT, offsetof(struct command, out), "FILE", .file = OPT_WRITES},
    {"keep", OPT_TEXT, offsetof(struct command, keep), "FILE", .file = OPT_WRITES},
    {"free", OPT_TEXT, offsetof(struct command, free), "TEXT", .help = NULL},
    {"data", OPT_TEXTS, offsetof(struct command, data), "FILE", .file = OPT_READS},
    {.name = NULL}};

static const char *said_of(struct command c, const struct apart_file *more, size_t n)
{
    static char text[sizeof((struct err *)0)->text];
    const struct opt_group group = {.rows = rows, .values = &c};
    struct err e = {0};

    *text = '\0';
    if (apart_options(&group, 1, more, n, &e) < 0)
        snprintf(text, sizeof text, "%s", e.text);
    return text;
}

static void options_are_read_by_their_rows(void **state)
{
    const struct apart_file more[] = {{"--log", "logs", OPT_WRITES}};

    (void)state;
    assert_string_equal(said_of((struct command){.free = "data", .data = {1, {"data"}}}, more, 1),
                        "");
    assert_string_equal(
        said_of((struct command){.out = "link", .data = {2, {"m", "data"}}}, NULL, 0),
        "--data and --out are the same file 'data'");
    assert_string_equal(said_of((struct command){.out = "x", .keep = "./x"}, NULL, 0),
                        "--out and --keep are the same file 'x'");
    assert_string_equal(said_of((struct command){.keep = "logs"}, more, 1),
                        "--keep and --log are the same file 'logs'");
    assert_string_equal(said_of((struct command){.keep = "d"}, NULL, 0),
                        "--keep: 'd' is a folder: give the name of a file");
    assert_string_equal(said_of((struct command){.keep = "new/"}, NULL, 0),
                        "--keep: 'new/' is a folder: give the name of a file");
    assert_string_equal(said_of((struct command){.keep = "none/x"}, NULL, 0),
                        "--keep 'none/x': no folder 'none' that can be written to");
    assert_string_equal(
        said_of((struct command){.keep = "/dev/null", .out = "/ptq-none/x"}, NULL, 0),
        "--out '/ptq-none/x': no folder '/ptq-none' that can be written to");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_read_is_not_written, fresh, drop),
        cmocka_unit_test_setup_teardown(two_outputs_are_two, fresh, drop),
        cmocka_unit_test_setup_teardown(options_are_read_by_their_rows, fresh, drop),
    };

    return cmocka_run_group_tests_name("apart", tests, NULL, NULL);
}
