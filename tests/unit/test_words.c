/* SPDX-License-Identifier: Apache-2.0 */
/* test_words - command lines made of others: what is taken out, in every way it can be said, and
 * what stays as it stood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "../../common/base/fs.h"
#include "../../pipelines/steps.h"

static void is(const struct words *w, const char *text)
{
    char line[400] = "";

    for (size_t i = 0; i < w->count; i++) {
        strcat(line, i ? " " : "");
        strcat(line, w->word[i]);
    }
    assert_string_equal(line, text);
    assert_true(!w->count || !w->word[w->count]);
}

static void test_without(void **state)
{
    static char *const argv[] = {(char *)(uintptr_t) "--out",
                                 (char *)(uintptr_t) "a",
                                 (char *)(uintptr_t) "--bits=3",
                                 (char *)(uintptr_t) "--sample.tokens",
                                 (char *)(uintptr_t) "8",
                                 (char *)(uintptr_t) "--tokens",
                                 (char *)(uintptr_t) "9",
                                 (char *)(uintptr_t) "--overwrite",
                                 (char *)(uintptr_t) "--outer",
                                 (char *)(uintptr_t) "--out",
                                 (char *)(uintptr_t) "--solve.bits",
                                 (char *)(uintptr_t) "4"};
    static const char *const options[] = {"bits", "tokens", NULL},
                             *const flags[] = {"overwrite", NULL}, *const out[] = {"out", NULL},
                             *const none[] = {NULL};
    struct words w = {0}, v = {0};
    struct err e = {0};

    (void)state;
    assert_int_equal(words_without(&w, 12, argv, options, flags, &e), 0);
    is(&w, "--out a --outer --out");
    assert_int_equal(words_without(&v, (int)w.count, w.word, out, none, &e), 0);
    is(&v, "--outer"); /* the last one has no value: nothing stands behind it */
    assert_int_equal(words_option(&v, "x", "1", &e), 0);
    assert_int_equal(words_option(&v, "y", NULL, &e), 0);
    is(&v, "--outer --x 1 --y");
    words_release(&w);
    words_release(&v);
    assert_int_equal(v.count, 0);
}

static void test_given(void **state)
{
    static const char *const except[] = {"tokens", NULL};
    struct err e = {0};
    struct recipe *r = recipe_parse("a: ptq-sample\nb: ptq-solve\n", "r", 1, &e);
    struct words w = {0};

    (void)state;
    assert_non_null(r);
    assert_int_equal(recipe_give(r, 0, "tokens", "tokens", "5", 0, &e), 0);
    assert_int_equal(recipe_give(r, 0, "a.data", "data", "x y", 1, &e), 0);
    assert_int_equal(recipe_give(r, 1, "bits", "bits", "3", 0, &e), 0);
    assert_int_equal(recipe_give(r, 0, "zstd", "zstd", NULL, 0, &e), 0);
    assert_int_equal(words_given(&w, r, 0, except, &e), 0);
    is(&w, "--data x y --zstd");
    words_release(&w);
    recipe_destroy(&r);
}

/* A word that is no UTF-8 cannot be noted: it is refused, not run every time. */
static void test_bad_word(void **state)
{
    struct words w = {0};
    struct steps s;
    struct err e = {0};

    (void)state;
    assert_int_equal(words_add(&w, "\xff", &e), 0);
    s = (struct steps){.dir = "/tmp"};
    assert_int_equal(steps_run(&s, "x", "a step", &w, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    words_release(&w);
}

/* Windows that differ alike leave no doubt, however far apart they lie; what cannot be compared
 * says nothing. */
static void test_doubt(void **state)
{
    struct divergence a = {.count = 4, .window = {1, 5, 9, 2}},
                      b = {.count = 4, .window = {2, 6, 10, 3}}, one = {.count = 1, .window = {1}};

    (void)state;
    assert_true(steps_doubt(&a, &b) < 1e-12);
    b.window[0] = 6; /* differences 5, 1, 1, 1: mean 2, deviation 2 */
    assert_true(fabs(steps_doubt(&a, &b) - 1) < 1e-12);
    assert_true(fabs(steps_doubt(&b, &a) - 1) < 1e-12);
    assert_true(steps_doubt(&a, &one) <= 0);
    assert_true(steps_doubt(&one, &one) <= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_without), cmocka_unit_test(test_given),
                                       cmocka_unit_test(test_doubt),
                                       cmocka_unit_test(test_bad_word)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
