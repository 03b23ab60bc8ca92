/* SPDX-License-Identifier: Apache-2.0 */
/* What a head may tell a worker to run: everything else is refused by name. */
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
#include "../../pipelines/worker_slot.h"
#include "../../stages/solve/solve_opts.h"

static const struct worker_terms terms = {.host = "tcp://head",
                                          .threads = 6,
                                          .forward = 3,
                                          .solve = 2,
                                          .mem = 600000,
                                          .model = "here",
                                          .sockets = "/s",
                                          .keys = "k"};

static struct slot *make(const char *text, struct err *e)
{
    struct json *j = json_parse(text, strlen(text), "test", e);
    struct slot *s = j ? slot_create(j, &terms, e) : NULL;

    if (s)
        assert_true(slot_is(s, j));
    json_destroy(&j);
    return s;
}

static void refused(const char *command, const char *why)
{
    char text[600];
    struct err e = {0};
    struct slot *s;

    snprintf(text, sizeof text, "{\"name\": \"x.1\", \"epoch\": 1, \"command\": %s}", command);
    s = make(text, &e);
    if (s)
        fail_msg("%s was taken", command);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, why))
        fail_msg("'%s' does not say '%s'", e.text, why);
}

#define ENDS "\"--in\", \"tcp://*:1\", \"--out\", \"tcp://*:2\""

static void test_refused(void **state)
{
    struct err e = {0};

    (void)state;
    assert_null(make("{}", &e));
    assert_non_null(strstr(e.text, "name"));
    refused("null", "must be 1 to");
    refused("[]", "must be 1 to");
    refused("[7]", "word 0 is no text");
    refused("[\"/bin/sh\", \"-c\", \"id\"]", "'/bin/sh' is no program that a worker runs");
    refused("[\"./ptq-solve\"," ENDS "]", "is no program");
    refused("[\"ptq-write\"," ENDS ", \"out\"]", "is no program");
    refused("[\"ptq-solve\"]", "is told no work");
    refused("[\"ptq-solve\", \"--help\"]", "is told no work");
    refused("[\"ptq-solve\", \"--in\", \"/etc/passwd\", \"--out\", \"tcp://*:1\"]",
            "--in '/etc/passwd' is no place on the head");
    refused("[\"ptq-solve\", \"--in=tcp://*:1\", \"--out=x.ptq\"]", "--out 'x.ptq' is no place");
    refused("[\"ptq-solve\", \"--in\", \"tcp://*:1\", \"--out\", \"tcp://elsewhere:2\"]",
            "'tcp://elsewhere:2' is no place on the head");
    refused("[\"ptq-solve\", \"--in\", \"tcp://*:1\", \"--out\", \"@tcp://*:2\"]", "is no place");
    refused("[\"ptq-solve\"," ENDS ", \"--overrides\", \"/etc/shadow\"]",
            "--overrides '/etc/shadow' may name a file");
    refused("[\"ptq-solve\"," ENDS ", \"--overrides=/etc/shadow\"]", "may name a file");
    refused("[\"ptq-solve\"," ENDS ", \"--keys\", \"/k\"]", "may name a file");
    refused("[\"ptq-solve\"," ENDS ", \"--\", \"x\"]", "x");
    refused("[\"ptq-reduce\"," ENDS ", \"--record\", \"/x\"]", "--record '/x' may name a file");
    refused("[\"ptq-forward\"," ENDS ", \"--model\", \"m\", \"--follow\", \"/x\"]",
            "--follow '/x' may name a file");
    refused("[\"ptq-forward\"," ENDS ", \"--model\", \"m\", \"--commits\", \"/x\"]",
            "--commits '/x' is no place on the head");
    refused("[\"ptq-reduce\", \"--in\", \"@ipc:///tmp/x\", \"--out\", \"tcp://*:2\"]",
            "is no place on the head");
    refused("[\"ptq-importance\"," ENDS ", \"--model\", \"m\", \"--keep\", \"/x\"]",
            "--keep '/x' may name a file");
    refused("[\"ptq-importance\"," ENDS ", \"--model\", \"m\", \"--fisher=/x\"]",
            "--fisher '/x' may name a file");
    refused("[\"ptq-importance\", \"--in\", \"tcp://*:1\", \"--out\", \"@%chunks./x\"]",
            "is no place on the head");
    refused("[\"ptq-importance\", \"--in\", \"tcp://*:1\", \"--out\", \"@%chunk\"]",
            "is no place on the head");
    refused("[\"ptq-solve\"," ENDS ", \"--no-such\"]", "no-such");
    refused("[\"ptq-solve\"," ENDS ", \"--bits\", \"99\"]", "bits");
    refused("[\"ptq-solve\"," ENDS ", \"--solver\", \"magic\"]", "magic");
}

static void test_files(void **state)
{
    static const char *const bars[] = {"--overrides", "--overrides=x", "--fault", "--keys"};
    static const char *const told[] = {
        "--override", "--only=mlp.*", "--solver",  "--bits=3", "--in",
        "overrides",  "--",           "--no-such", "-",        ""};
    struct stage *st = stage_open(&solve_spec, &(struct err){0});

    (void)state;
    assert_non_null(st);
    for (size_t i = 0; i < sizeof bars / sizeof *bars; i++)
        assert_non_null(slot_file_option(st, bars[i]));
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        assert_null(slot_file_option(st, told[i]));
    assert_string_equal(slot_file_option(st, bars[1])->name, "overrides");
    stage_close(&st);
}

static void taken(const char *command, const char *const *words, size_t n)
{
    struct err e = {0};
    char text[600];
    struct slot *s;

    snprintf(text, sizeof text, "{\"name\": \"x.1\", \"epoch\": 2, \"command\": %s}", command);
    s = make(text, &e);
    if (!s)
        fail_msg("%s", e.text);
    assert_int_equal(s->plan.argc, n);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(s->plan.argv[i], words[i]);
    assert_null(s->plan.argv[n]);
    assert_string_equal(s->plan.label, "x.1");
    slot_destroy(&s);
}

static void test_taken(void **state)
{
    static const char *const solve[] = {"ptq-solve",
                                        "--bits",
                                        "3",
                                        "--in",
                                        "tcp://head:1",
                                        "--out",
                                        "tcp://head:2",
                                        "--override",
                                        "*.down_proj: bits=8",
                                        "--threads",
                                        "3",
                                        "--keys",
                                        "k"};
    static const char *const forward[] = {"ptq-forward",
                                          "--in",
                                          "tcp://head:1",
                                          "--commits",
                                          "tcp://head:2",
                                          "--out",
                                          "ipc:///s/acts.2",
                                          "--threads",
                                          "2",
                                          "--keys",
                                          "k",
                                          "--mem",
                                          "98K",
                                          "--model",
                                          "here"};
    static const char *const reduce[] = {
        "ptq-reduce",   "--partial", "--in", "@ipc:///s/acts.2", "--out",
        "tcp://head:3", "--threads", "6",    "--keys",           "k",
        "--mem",        "293K"};
    static const char *const weigh[] = {"ptq-importance",
                                        "--clip",
                                        ".1,10",
                                        "--in",
                                        "tcp://head:1",
                                        "--out",
                                        "@ipc:///s/chunks.1.2",
                                        "--threads",
                                        "2",
                                        "--keys",
                                        "k",
                                        "--mem",
                                        "98K",
                                        "--model",
                                        "here"};

    (void)state;
    taken("[\"ptq-solve\", \"--bits\", \"3\", " ENDS ", \"--override\", \"*.down_proj: bits=8\"]",
          solve, sizeof solve / sizeof *solve);
    taken("[\"ptq-forward\", \"--model\", \"/there\", \"--in\", \"tcp://*:1\", \"--commits\", "
          "\"tcp://*:2\", \"--out\", \"%acts\"]",
          forward, sizeof forward / sizeof *forward);
    taken("[\"ptq-importance\", \"--model\", \"/there\", \"--clip\", \".1,10\", \"--in\", "
          "\"tcp://*:1\", \"--out\", \"@%chunks.1\"]",
          weigh, sizeof weigh / sizeof *weigh);
    taken("[\"ptq-reduce\", \"--partial\", \"--in\", \"@%acts\", \"--out\", \"tcp://*:3\"]", reduce,
          sizeof reduce / sizeof *reduce);
}

int main(void)
{
    static const char *const programs[] = {"ptq-solve", "ptq-forward", "ptq-reduce",
                                           "ptq-importance"};
    char dir[] = "/tmp/ptq-worker-XXXXXX";
    int failed;

    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused), cmocka_unit_test(test_files),
                                       cmocka_unit_test(test_taken)};

    if (!mkdtemp(dir) || setenv("PATH", dir, 1) != 0)
        return 1;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        char *at = fs_join(dir, programs[i], NULL);

        if (!at || symlink("/bin/true", at) != 0)
            return 1;
        free(at);
    }
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    fs_remove_tree(dir, NULL);
    return failed;
}
