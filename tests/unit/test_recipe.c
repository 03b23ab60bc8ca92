/* SPDX-License-Identifier: Apache-2.0 */
/* recipe, launch: text to commands. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "../../pipelines/launch.h"
#include "../../pipelines/recipe.h"

static void refuse(const char *text, const char *want)
{
    struct err e = {0};
    struct recipe *r = recipe_parse(text, "x.pipe", 4, &e);

    assert_null(r);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, want))
        fail_msg("'%s' does not say '%s'", e.text, want);
}

static void bad_recipes(void **state)
{
    (void)state;
    refuse("", "x.pipe: a recipe needs a stage");
    refuse("# only words\n\n", "needs a stage");
    refuse("a: true\nwhat is this\n", "x.pipe:2: 'what is this': expected");
    refuse("a: true \\\n  more\nb*0: true\n", "x.pipe:3: count '0'");
    refuse("b*many: true\n", "count 'many'");
    refuse("b*12x: true\n", "count '12x'");
    refuse("b*: true\n", "count ''");
    refuse("b*2000: true\n", "count '2000'");
    refuse("a:\n", "x.pipe:1: stage 'a' has no command");
    refuse("a rubber: true\n", "x.pipe:1: 'rubber' before the colon of a stage: only 'elastic'");
    refuse("a elastic elastic: true\n", "'elastic elastic' before the colon");
    refuse("a elastic true\n", "expected");
    refuse("elastic a: true\n", "'a' before the colon");
    refuse("a: # nothing\n", "has no command");
    refuse("A: true\n", "'A' is no name");
    refuse("a: true\na: true\n", "x.pipe:2: stage 'a' is there already");
    refuse("set x\na: true\n", "x.pipe:1: expected 'set name = value");
    refuse("set 9 = 1\na: true\n", "'9' is no name");
    refuse("set x = 1\nset x = 2\na: true\n", "x.pipe:2: variable 'x' is set a second time");
    refuse("set cores = 1\na: true\n", "x.pipe:1: a variable cannot be called 'cores'");
}

static struct recipe *accept(const char *text)
{
    struct err e = {0};
    struct recipe *r = recipe_parse(text, "x.pipe", 4, &e);

    if (!r)
        fail_msg("%s", e.text);
    return r;
}

static void elastic_is_a_mark(void **state)
{
    static const int marked[] = {0, 1, 1, 0};
    struct err e = {0};
    struct recipe *r = accept("a: true\nb elastic: ptq-write\nc*2 \\\n elastic : true\n"
                              "elastic: ptq-solve\n");
    struct launch *p;

    (void)state;
    assert_int_equal(r->nstages, 4);
    recipe_destroy(&r);
    r = accept("\xEF\xBB\xBF"
               "a: true\nb elastic: ptq-write\nc*2 \\\n elastic : true\nelastic: ptq-solve\n");
    assert_int_equal(r->nstages, 4);
    for (size_t i = 0; i < r->nstages; i++)
        assert_int_equal(r->stage[i].elastic, marked[i]);
    assert_string_equal(r->stage[2].name, "c");
    assert_int_equal(r->stage[2].count, 2);
    recipe_destroy(&r);
    r = accept("a: true\nb*2 elastic: true\n");
    p = launch_create(r, "/r", 0, &e);
    assert_non_null(p);
    for (size_t i = 0; i < p->count; i++)
        assert_int_equal(p->process[i].elastic, i > 0);
    assert_int_equal(launch_add(p, r, 2, 0, NULL, "/r", &e), 3);
    assert_int_equal(p->process[3].elastic, 1);
    launch_destroy(&p);
    recipe_destroy(&r);
}

static void options_drop_out(void **state)
{
    static const char *const without[] = {"true", "--quiet", "--last", "z"};
    static const char *const with[] = {"true",       "--file", "a b", "--quiet",
                                       "--also=a b", "--last", "z"};
    struct err e = {0};

    (void)state;
    for (int given = 0; given < 2; given++) {
        struct recipe *r = accept("option f =   # may be\noption z = z\na: true --file ${f} "
                                  "--quiet --also=${f} --last ${z}\n");
        struct launch *p;

        assert_int_equal(recipe_set(r, "f", "", &e), -1);
        if (given)
            assert_int_equal(recipe_set(r, "f", "a b", &e), 0);
        p = launch_create(r, "/r", 0, &e);
        assert_non_null(p);
        assert_int_equal(p->process[0].argc, given ? 7 : 4);
        for (size_t i = 0; i < p->process[0].argc; i++)
            assert_string_equal(p->process[0].argv[i], given ? with[i] : without[i]);
        launch_destroy(&p);
        recipe_destroy(&r);
    }
}

static void flags_are_there_or_not(void **state)
{
    struct err e = {0};

    (void)state;
    refuse("flag f = yes\na: true ${f}\n", "flag 'f' cannot have a value");
    for (int given = 0; given < 2; given++) {
        struct recipe *r = accept("flag over-all =   # may be\na: true --format x ${over-all} y\n");
        struct launch *p;

        assert_int_equal(recipe_set(r, "over-all", "yes", &e), -1);
        assert_non_null(strstr(e.text, "'--over-all' takes no value"));
        if (given)
            assert_int_equal(recipe_set(r, "over-all", "--over-all", &e), 0);
        assert_int_equal(recipe_complete(r, &e), 0);
        p = launch_create(r, "/r", 0, &e);
        assert_non_null(p);
        assert_int_equal(p->process[0].argc, given ? 5 : 4);
        assert_string_equal(p->process[0].argv[3], given ? "--over-all" : "y");
        launch_destroy(&p);
        recipe_destroy(&r);
    }
}

static void bad_values(void **state)
{
    struct recipe *r = accept("set x = 1\nset y =  # the why\nlist z =\na: true\nb*2: true\n");
    struct err e = {0};

    (void)state;
    assert_int_equal(recipe_set(r, "w", "1", &e), -1);
    assert_non_null(strstr(e.text, "x.pipe has no variable 'w'"));
    assert_int_equal(recipe_set(r, "x", "", &e), -1);
    assert_int_equal(recipe_complete(r, &e), -1);
    assert_non_null(strstr(e.text, "'--y VALUE' is missing: the why"));
    assert_int_equal(recipe_set(r, "x", "2", &e), 0);
    assert_int_equal(recipe_set(r, "x", "3", &e), -1);
    assert_non_null(strstr(e.text, "given twice"));
    assert_string_equal(recipe_value(r, "x"), "2");
    assert_int_equal(recipe_workers(r, "a=2", &e), -1);
    assert_int_equal(recipe_workers(r, "b", &e), -1);
    assert_int_equal(recipe_workers(r, "b=", &e), -1);
    assert_int_equal(recipe_workers(r, "b=0", &e), -1);
    assert_int_equal(recipe_workers(r, "c=1", &e), -1);
    assert_int_equal(recipe_workers(r, "b=3,", &e), -1);
    assert_int_equal(recipe_workers(r, "b=3,a=1,b=5", &e), -1);
    assert_non_null(strstr(e.text, "'b' is given twice"));
    assert_int_equal(recipe_workers(r, "a=1,b=5", &e), 0);
    assert_int_equal(r->stage[1].count, 5);
    recipe_destroy(&r);
    assert_null(r);
    recipe_destroy(&r);
}

static void refuse_plan(const char *text, const char *sockets, const char *want)
{
    struct recipe *r = accept(text);
    struct err e = {0};
    struct launch *p = launch_create(r, sockets, 0, &e);

    assert_null(p);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, want))
        fail_msg("'%s' does not say '%s'", e.text, want);
    recipe_destroy(&r);
}

static void bad_plans(void **state)
{
    char folder[200];

    (void)state;
    memset(folder, 'f', sizeof folder);
    folder[0] = '/';
    folder[sizeof folder - 1] = '\0';
    refuse_plan("a: true ${x}\n", "/r", "x.pipe:1: stage 'a': unknown variable '${x}'");
    refuse_plan("a: true ${b.count}\n", "/r", "unknown variable '${b.count}'");
    refuse_plan("a: no-such-command-anywhere\n", "/r",
                "'no-such-command-anywhere' is not beside ptq and not in PATH");
    refuse_plan("a: /no/such\n", "/r", "cannot execute '/no/such'");
    refuse_plan("a: true %s\nb: true %s\n", "/r", "x.pipe:1: stage 'a': no stage binds 's'");
    refuse_plan("a: true @%s\n", "/r", "no stage connects to 's'");
    refuse_plan("a*2: true @%s\nb: true %s\n", "/r", "2 processes bind 's'");
    refuse_plan("a: true @%s/t\nb: true %s/t\n", "/r", "no name of a socket");
    refuse_plan("a: true @%s\nb: true %s\n", folder, "XDG_RUNTIME_DIR");
    refuse_plan("set x =\na: true ${x}\n", "/r", "'--x VALUE' is missing");
}

static void plans(void **state)
{
    struct recipe *r = accept("# about it\n"
                              "set x = 1   # one\n"
                              "list d =    # files\n"
                              "set p = a#b $HOME ${x}\n"
                              "a: true --x ${x}:${x} @%s --data ${d} --p ${p} \\\n"
                              "   ${cores} # the end\n"
                              "b*cores: true %s ${b.count} ${b.threads} ${a.threads} $ 100% @\n");
    static const char *const a[] = {"true",           "--x",    "two words:two words",
                                    "@ipc:///r/s",    "--data", "1 2",
                                    "--data",         "'3'",    "--p",
                                    "a#b $HOME ${x}", "4"};
    static const char *const b[] = {"true", "ipc:///r/s", "3", "1", "4", "$", "100%", "@"};
    struct err e = {0};
    struct launch *p;

    (void)state;
    assert_string_equal(r->about, "about it");
    assert_string_equal(r->var[0].help, "one");
    assert_int_equal(r->stage[1].count, 4);
    assert_int_equal(recipe_set(r, "x", "two words", &e), 0);
    assert_int_equal(recipe_set(r, "d", "1 2", &e), 0);
    assert_int_equal(recipe_set(r, "d", "'3'", &e), 0);
    assert_int_equal(recipe_workers(r, "b=3", &e), 0);
    p = launch_create(r, "/r", 0, &e);
    if (!p)
        fail_msg("%s", e.text);
    assert_int_equal(p->count, 4);
    assert_string_equal(p->process[0].label, "a");
    assert_string_equal(p->process[3].label, "b.3");
    assert_int_equal(p->process[0].argc, sizeof a / sizeof *a);
    for (size_t i = 0; i < p->process[0].argc; i++)
        assert_string_equal(p->process[0].argv[i], a[i]);
    assert_int_equal(p->process[2].argc, sizeof b / sizeof *b);
    for (size_t i = 0; i < p->process[2].argc; i++)
        assert_string_equal(p->process[2].argv[i], b[i]);
    assert_null(p->process[2].argv[p->process[2].argc]);
    assert_int_equal(p->process[0].ours, 0);
    launch_destroy(&p);
    launch_destroy(&p);
    recipe_destroy(&r);
}

static void check_argv(const struct launch_process *p, const char *const *want)
{
    size_t n = 0;

    for (; want[n]; n++) {
        assert_true(n < p->argc);
        assert_string_equal(p->argv[n], want[n]);
    }
    assert_int_equal(p->argc, n);
    assert_null(p->argv[n]);
}

static void given_and_withheld(void **state)
{
    static const char *const without[] = {"true", "--n", "1", "out", "--f", "last", NULL},
                             *const with[] = {"true", "--n", "1",   "out", "--f",
                                              "last", "--g", "--x", "7",   NULL};
    struct err e = {0};
    struct recipe *r = accept("a: true --x 5 --n 1 --x=6 out --f last --x\n");
    struct launch *p = launch_create(r, "/r", 0, &e);
    struct launch_process *one;

    (void)state;
    assert_non_null(p);
    one = &p->process[0];
    launch_withhold(one, "--none", 1);
    assert_int_equal(one->argc, 10);
    launch_withhold(one, "--x", 1); /* also where its value is missing */
    check_argv(one, without);
    assert_int_equal(launch_give(one, "--g", NULL, &e), 0);
    assert_int_equal(launch_give(one, "--x", "7", &e), 0);
    check_argv(one, with);
    launch_withhold(one, "--g", 0);
    launch_withhold(one, "--x", 1);
    launch_withhold(one, "--n", 1);
    launch_withhold(one, "out", 0); /* no option: it stays */
    assert_int_equal(one->argc, 4);
    launch_destroy(&p);
    recipe_destroy(&r);
}

static void added(void **state)
{
    static const char *const changed[] = {"true", "--bits", "3", "--only=a.*", "--damp=", "--x"};
    static const char *const argv_changed[] = {"true",       "--in",    "ipc:///r/p", "--group",
                                               "-1",         "--quiet", "--bits",     "3",
                                               "--only=a.*", "--x",     NULL};
    static const char *const other[] = {"false", "--out", "%q"};
    static const char *const argv_other[] = {"false", "--out", "ipc:///r/q", NULL};
    static const char *const silent[] = {"false", "--x"};
    static const char *const argv_silent[] = {"false", "--in", "ipc:///r/p", "--x", NULL};
    static const char *const script[] = {"env", "round", "%p"}, *const next[] = {"env", "nearest"};
    static const char *const argv_script[] = {"env", "round", "ipc:///r/p", NULL};
    static const char *const argv_next[] = {"env", "nearest", NULL};
    static const char *const missing[] = {"no-such-command-anywhere"}, *const bad[] = {"true",
                                                                                       "@%a/b"};
    struct recipe *r = accept(
        "a: true @%p\nb: true --in %p --bits 4 --only b --group -1 --only c --damp 1 --quiet\n");
    struct err e = {0};
    struct launch *p = launch_create(r, "/r", 0, &e);
    const struct launch_process *first;

    (void)state;
    assert_non_null(p);
    first = &p->process[1];
    assert_int_equal(launch_add(p, r, 1, 1, missing, "/r", &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_int_equal(launch_add(p, r, 1, 2, bad, "/r", &e), -1);
    assert_int_equal(p->count, 2);
    assert_int_equal(launch_add(p, r, 1, 0, NULL, "/r", &e), 2);
    check_argv(&p->process[2], (const char *const *)first->argv);
    assert_string_equal(p->process[2].label, "b.2");
    assert_int_equal(launch_add(p, r, 2, 6, changed, "/r", &e), 3);
    check_argv(&p->process[3], argv_changed);
    assert_int_equal(launch_add(p, r, 3, 3, other, "/r", &e), 4);
    check_argv(&p->process[4], argv_other);
    assert_int_equal(launch_add(p, r, 3, 2, silent, "/r", &e), 5);
    check_argv(&p->process[5], argv_silent);
    assert_int_equal(launch_add(p, r, 3, 3, script, "/r", &e), 6);
    check_argv(&p->process[6], argv_script);
    assert_int_equal(launch_add(p, r, 6, 2, next, "/r", &e), 7);
    check_argv(&p->process[7], argv_next);
    launch_take_back(p);
    assert_int_equal(p->count, 7);
    for (int i = 7; i < 2 + LAUNCH_SPARE; i++)
        assert_int_equal(launch_add(p, r, 1, 0, NULL, "/r", &e), i);
    assert_int_equal(launch_add(p, r, 1, 0, NULL, "/r", &e), -1);
    assert_ptr_equal(first, &p->process[1]);
    launch_destroy(&p);
    recipe_destroy(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_recipes),
        cmocka_unit_test(bad_values),
        cmocka_unit_test(elastic_is_a_mark),
        cmocka_unit_test(options_drop_out),
        cmocka_unit_test(flags_are_there_or_not),
        cmocka_unit_test(bad_plans),
        cmocka_unit_test(plans),
        cmocka_unit_test(given_and_withheld),
        cmocka_unit_test(added),
    };

    return cmocka_run_group_tests_name("recipe", tests, NULL, NULL);
}
