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
#include "../../common/base/version.h"

struct values {
    int flag, choice, letter;
    int64_t number;
    uint64_t size;
    double real;
    const char *text;
    struct opt_texts texts;
};

static const struct opt_choice grids[] = {{"sym", 0}, {"sym-narrow", 7}, {"asym", 2}, {NULL, 0}};

static const char *letter(size_t i, int *value)
{
    static const char *const all[] = {"a", "b"};

    *value = (int)i;
    return i < 2 ? all[i] : NULL;
}

#define AT(field) offsetof(struct values, field)
static const struct opt rows[] = {
    {"flag", OPT_FLAG, AT(flag), .help = "A flag"},
    {"number", OPT_INT, AT(number), "N",
     .help = "A number of things that has a long line of help behind it, so that it wraps",
     .def = "4", .min = 1, .max = 16},
    {"size", OPT_SIZE, AT(size), "BYTES", .help = "A size", .def = "1M", .min = 1 << 20},
    {"real", OPT_REAL, AT(real), "X", .help = "A real", .def = "0.5", .min = 0, .max = 1},
    {.name = NULL},
};
static const struct opt more[] = {
    {"text", OPT_TEXT, AT(text), "TEXT", .help = "A text", .def = "def"},
    {"choice", OPT_CHOICE, AT(choice), "C", .help = "A choice", .def = "sym", .choices = grids},
    {"letter", OPT_CHOICE, AT(letter), "C", .help = "From a list", .def = "b", .nth = letter},
    {"set", OPT_TEXTS, AT(texts), "A=B", .help = "Many", .must = 1},
    {.name = NULL},
};

static int parse(struct values *v, struct opt_args *args, struct err *e, const char *a,
                 const char *b, const char *c)
{
    const struct opt_group group[] = {{NULL, rows, v}, {"More", more, v}};
    const struct opt_spec spec = {
        "ptq-test", "Tests options.", "[options] FILE...", group, 2, "A note.", 0, 2, 0};
    char *argv[] = {(char *)"ptq-test", (char *)(uintptr_t)a, (char *)(uintptr_t)b,
                    (char *)(uintptr_t)c, NULL};
    int argc = 1;

    memset(v, 0, sizeof *v);
    memset(e, 0, sizeof *e);
    assert_int_equal(opt_defaults(group, 2, e), 0);
    while (argv[argc])
        argc++;
    return opt_parse(&spec, args, argc, argv, e);
}

/* A program that hands on what it does not know. */
static void test_passed(void **state)
{
    struct values v;
    const struct opt_group group = {NULL, rows, &v};
    struct opt_spec spec = {.command = "ptq-test", .group = &group, .ngroups = 1, .args_max = 4};
    char *argv[] = {(char *)"ptq-test", (char *)"--other",  (char *)"-1", (char *)"--number",
                    (char *)"7",        (char *)"--more=x", NULL};
    struct opt_args args;
    struct err e = {0};

    (void)state;
    memset(&v, 0, sizeof v);
    assert_int_equal(opt_parse(&spec, &args, 6, argv, &e), -1);
    assert_non_null(strstr(e.text, "unknown option '--other'"));
    spec.passes = 1;
    spec.args_max = 2;
    assert_int_equal(opt_parse(&spec, &args, 6, argv, &e), -1);
    assert_non_null(strstr(e.text, "'--more=x'"));
    spec.args_max = 4;
    assert_int_equal(opt_parse(&spec, &args, 6, argv, &e), 0);
    assert_int_equal(v.number, 7);
    assert_int_equal(args.count, 3);
    assert_string_equal(args.arg[0], "--other");
    assert_string_equal(args.arg[1], "-1");
    assert_string_equal(args.arg[2], "--more=x");
}

static void test_refused(void **state)
{
    static const struct {
        const char *a, *b, *c, *says;
    } bad[] = {
        {"--nope", NULL, NULL, "unknown option '--nope' (see"},
        {"--nubmer", "4", NULL, "did you mean --number?"},
        {"--sad", NULL, NULL, "unknown option '--sad' (see"},
        {"--letter=c", NULL, NULL, "'c' is not one of a|b"},
        {"--flag=1", NULL, NULL, "--flag takes no value"},
        {"--flag", "--flag", NULL, "twice"},
        {"--number", NULL, NULL, "--number needs a value"},
        {"--number=0", NULL, NULL, "1 to 16"},
        {"--number", "17", NULL, "1 to 16"},
        {"--number=4x", NULL, NULL, "'4x'"},
        {"--number=1k", NULL, NULL, "1k is out of range"},
        {"--number=4kk", NULL, NULL, "64k and 1M are 65536"},
        {"--number=k", NULL, NULL, "not a whole number"},
        {"--number=9007199254740992k", NULL, NULL, "not a whole number"},
        {"--number=", NULL, NULL, "not a whole number"},
        {"--number=99999999999999999999", NULL, NULL, "not a whole number"},
        {"--size=-1", NULL, NULL, "--size"},
        {"--size=1P", NULL, NULL, "'1P' is not a size in bytes"},
        {"--size=1025E", NULL, NULL, "is not a size in bytes"},
        {"--size=99999999999G", NULL, NULL, "more bytes than there can be, at most 1048576T"},
        {"--size=99999999999999999999", NULL, NULL, "more bytes than there can be"},
        {"--size=1048577T", NULL, NULL, "more bytes than there can be"},
        {"--size=1", NULL, NULL, "1 would be so many bytes: say 1G or 1M (or 1K"},
        {"--size=1048575", NULL, NULL, "say 1048575G"},
        {"--real=2", NULL, NULL, "0 to 1"},
        {"--real=nan", NULL, NULL, "not a number"},
        {"--choice=sy", NULL, NULL, "sym|sym-narrow|asym"},
        {"--choice=", NULL, NULL, "--choice"},
        {"--text=", NULL, NULL, "--text has an empty value"},
        {"--set", "", NULL, "--set has an empty value"},
        {"a", "", NULL, "argument 2 is empty"},
        {"-x", NULL, NULL, "-x"},
        {"a", "b", "c", "'c'"},
        {"--fla", NULL, NULL, "did you mean --flag?"},
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
    assert_int_equal(parse(&v, &args, &e, "--size=3m", NULL, NULL), 0);
    assert_int_equal(v.size, 3 << 20);
    assert_int_equal(parse(&v, &args, &e, "--size=2T", NULL, NULL), 0);
    assert_int_equal(v.size, (uint64_t)2 << 40);
    assert_int_equal(parse(&v, &args, &e, "--size=1048576t", NULL, NULL), 0);
    assert_int_equal(v.size, (uint64_t)1 << 60);
    assert_int_equal(parse(&v, &args, &e, "--size=1k", NULL, NULL), 0);
    assert_int_equal(v.size, 1024);
    assert_int_equal(parse(&v, &args, &e, "--size=1048576", NULL, NULL), 0);
    assert_int_equal(v.size, 1 << 20);
    assert_int_equal(parse(&v, &args, &e, "--size=0", NULL, NULL), 0);
    assert_int_equal(v.size, 0);
    assert_int_equal(parse(&v, &args, &e, "--text", "--flag", "--real=1e-2"), 0);
    assert_string_equal(v.text, "--flag");
    assert_true(v.real > 0.00999 && v.real < 0.01001);
    assert_int_equal(parse(&v, &args, &e, "--set=a=1", "--set", "b=2"), 0);
    assert_int_equal(v.texts.count, 2);
    assert_string_equal(v.texts.text[0], "a=1");
    assert_int_equal(opt_check(&(const struct opt){"tokens", OPT_INT, .min = 0, .max = 1 << 16},
                               "tokens", "64k", &e),
                     0);
    /* a value is not a question */
    assert_int_equal(parse(&v, &args, &e, "--text", "--help", NULL), 0);
    assert_string_equal(v.text, "--help");
    assert_int_equal(parse(&v, &args, &e, "--choice", "sym-narrow", NULL), 0);
    assert_int_equal(v.choice, 7);
    assert_int_equal(parse(&v, &args, &e, "--letter", "a", NULL), 0);
    assert_int_equal(v.letter, 0);
}

static void test_rows(void **state)
{
    struct values v, *filled = NULL;
    const struct opt_group group[] = {{NULL, rows, &v}, {NULL, more, &v}};
    const struct opt_with with[] = {{"number", "--other", 1}, {"number", "--flag", 0}};
    struct err e;

    (void)state;
    assert_int_equal(parse(&v, NULL, &e, NULL, NULL, NULL), 0);
    assert_int_equal(opt_complete(group, 2, &e), -1);
    assert_non_null(strstr(e.text, "--set A=B is missing"));
    v.texts.count = 1;
    assert_int_equal(opt_complete(group, 2, &e), 0);
    for (const struct opt *o = rows; o->name; o++)
        assert_false(opt_changed(o, &v));
    assert_null(opt_find(group, 2, "tex", 3, NULL));
    assert_ptr_equal(opt_find(group, 2, "text", 4, (void **)&filled), &more[0]);
    assert_ptr_equal(filled, &v);
    assert_int_equal(opt_unwanted(rows, &v, with, 2, &e), 0);
    v.number++;
    assert_int_equal(opt_unwanted(rows, &v, with, 2, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "--number means nothing without --flag: leave it out"));
    assert_int_equal(opt_unwanted(rows, &v, with, 1, &e), 0);
    v.text = "other";
    assert_true(opt_changed(&more[0], &v));
    v.text = NULL;
    assert_true(opt_changed(&more[0], &v));
    v.number = 17;
    assert_int_equal(opt_valid(&rows[1], &v, &e), -1);
    assert_non_null(strstr(e.text, "--number must be from 1 to 16"));
    v.choice = 1;
    assert_int_equal(opt_valid(&more[1], &v, &e), -1);
    assert_non_null(strstr(e.text, "sym|sym-narrow|asym"));
    assert_int_equal(opt_check(&rows[1], "a.number", "0", &e), -1);
    assert_non_null(strstr(e.text, "--a.number: 0 is out of range"));
    assert_int_equal(opt_check(&rows[0], "flag", "1", &e), -1);
    assert_int_equal(opt_check(&rows[0], "flag", NULL, &e), 0);
    assert_string_equal(opt_choice_name(grids, 7), "sym-narrow");
    assert_string_equal(opt_choice_name(grids, 1), "?");
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
    assert_string_equal(text, "ptq-test " PTQ_VERSION "\n");
    printed("-V", text, sizeof text);
    assert_string_equal(text, "ptq-test " PTQ_VERSION "\n");
    printed("-h", text, sizeof text);
    assert_non_null(strstr(text, "More:\n"));
    assert_non_null(strstr(text, "(must be given)"));
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_passed), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_values), cmocka_unit_test(test_rows), cmocka_unit_test(test_help)};

    return cmocka_run_group_tests_name("opt", tests, NULL, NULL);
}
