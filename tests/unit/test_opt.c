/* SPDX-License-Identifier: Apache-2.0 */
/* Options: everything that is refused by name, then every type, then the help. */
#include <stdio.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/opt.h"

struct values {
    int flag, choice;
    int64_t number;
    uint64_t size;
    double real;
    const char *text;
    struct opt_texts texts;
};

static const struct opt table[] = {
    {"flag", OPT_FLAG, offsetof(struct values, flag), NULL, "A flag", 0, 0, NULL},
    {"number", OPT_INT, offsetof(struct values, number), "N",
     "A number of things that has a long line of help behind it, so that it wraps", 1, 16, NULL},
    {"size", OPT_SIZE, offsetof(struct values, size), "BYTES", "A size", 0, 0, NULL},
    {"real", OPT_REAL, offsetof(struct values, real), "X", "A real", 0, 1, NULL},
    {"text", OPT_TEXT, offsetof(struct values, text), "TEXT", "A text", 0, 0, NULL},
    {"choice", OPT_CHOICE, offsetof(struct values, choice), "C", "A choice", 0, 0,
     "sym|sym-narrow|asym"},
    {"set", OPT_TEXTS, offsetof(struct values, texts), "A=B", "Many", 0, 0, NULL},
    {NULL, OPT_FLAG, 0, NULL, NULL, 0, 0, NULL},
};

static const struct opt_spec spec = {
    "ptq-test", "Tests options.", "[options] FILE...", table, "A note.", 0, 2};

static int parse(struct values *v, struct opt_args *args, struct err *e, const char *a,
                 const char *b, const char *c)
{
    char *argv[] = {(char *)"ptq-test", (char *)(uintptr_t)a, (char *)(uintptr_t)b,
                    (char *)(uintptr_t)c, NULL};
    int argc = 1;

    *v = (struct values){.number = 4, .size = 1 << 20, .real = 0.5, .text = "def"};
    memset(e, 0, sizeof *e);
    while (argv[argc])
        argc++;
    return opt_parse(&spec, v, args, argc, argv, e);
}

static void test_refused(void **state)
{
    static const struct {
        const char *a, *b, *c, *says;
    } bad[] = {
        {"--nope", NULL, NULL, "--nope"},
        {"--flag=1", NULL, NULL, "--flag takes no value"},
        {"--flag", "--flag", NULL, "twice"},
        {"--number", NULL, NULL, "--number needs a value"},
        {"--number=0", NULL, NULL, "1 to 16"},
        {"--number", "17", NULL, "1 to 16"},
        {"--number=4x", NULL, NULL, "'4x'"},
        {"--number=", NULL, NULL, "not a whole number"},
        {"--number=99999999999999999999", NULL, NULL, "not a whole number"},
        {"--size=-1", NULL, NULL, "--size"},
        {"--size=1T", NULL, NULL, "--size"},
        {"--size=99999999999G", NULL, NULL, "--size"},
        {"--real=2", NULL, NULL, "0 to 1"},
        {"--real=nan", NULL, NULL, "not a number"},
        {"--choice=sy", NULL, NULL, "sym|sym-narrow|asym"},
        {"--choice=", NULL, NULL, "--choice"},
        {"-x", NULL, NULL, "-x"},
        {"a", "b", "c", "'c'"},
        {"--fla", NULL, NULL, "--fla"},
    };
    struct values v;
    struct opt_args args;
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(parse(&v, &args, &e, bad[i].a, bad[i].b, bad[i].c), -1);
        assert_int_equal(e.kind, ERR_USE);
        if (!strstr(e.text, bad[i].says))
            fail_msg("'%s' does not say '%s'", e.text, bad[i].says);
    }
    assert_int_equal(parse(&v, NULL, &e, "a", NULL, NULL), -1);
}

static void test_values(void **state)
{
    struct values v;
    struct opt_args args;
    struct err e;

    (void)state;
    assert_int_equal(parse(&v, &args, &e, NULL, NULL, NULL), 0);
    assert_int_equal(v.number, 4);
    assert_int_equal(parse(&v, &args, &e, "--number=16", "--flag", "-"), 0);
    assert_int_equal(v.number, 16);
    assert_int_equal(v.flag, 1);
    assert_int_equal(args.count, 1);
    assert_string_equal(args.arg[0], "-");
    assert_int_equal(parse(&v, &args, &e, "--", "--flag", NULL), 0);
    assert_int_equal(v.flag, 0);
    assert_string_equal(args.arg[0], "--flag");
    assert_int_equal(parse(&v, &args, &e, "--size", "3M", "--choice=asym"), 0);
    assert_int_equal(v.size, 3 << 20);
    assert_int_equal(v.choice, 2);
    assert_int_equal(parse(&v, &args, &e, "--text", "--flag", "--real=1e-2"), 0);
    assert_string_equal(v.text, "--flag");
    assert_true(v.real > 0.00999 && v.real < 0.01001);
    assert_int_equal(parse(&v, &args, &e, "--set=a=1", "--set", "b=2"), 0);
    assert_int_equal(v.texts.count, 2);
    assert_string_equal(v.texts.text[0], "a=1");
    /* a value is not a question */
    assert_int_equal(parse(&v, &args, &e, "--text", "--help", NULL), 0);
    assert_string_equal(v.text, "--help");
    assert_int_equal(parse(&v, &args, &e, "--choice", "sym-narrow", NULL), 0);
    assert_int_equal(v.choice, 1);
}

/* What a call prints on stdout. */
static size_t printed(const char *arg, char *out, size_t room)
{
    struct values v;
    struct opt_args args;
    struct err e;
    FILE *f = tmpfile();
    int keep = dup(1);
    size_t n;

    assert_non_null(f);
    fflush(stdout);
    dup2(fileno(f), 1);
    int rc = parse(&v, &args, &e, "--nope", arg, NULL);
    fflush(stdout);
    dup2(keep, 1);
    close(keep);
    assert_int_equal(rc, 1);
    rewind(f);
    n = fread(out, 1, room - 1, f);
    out[n] = 0;
    fclose(f);
    return n;
}

static void test_help(void **state)
{
    char text[8192];

    (void)state;
    printed("--version", text, sizeof text);
    assert_string_equal(text, "ptq-test 0.1.0\n");
    printed("--help", text, sizeof text);
    assert_non_null(strstr(text, "Usage: ptq-test [options] FILE..."));
    assert_non_null(strstr(text, "(default 4)"));
    assert_non_null(strstr(text, "(default 1M)"));
    assert_non_null(strstr(text, "sym|sym-narrow|asym (default sym)"));
    assert_non_null(strstr(text, "A note."));
    assert_non_null(strstr(text, "--version"));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        assert_true(strlen(line) <= 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_values), cmocka_unit_test(test_help)};

    return cmocka_run_group_tests_name("opt", tests, NULL, NULL);
}
