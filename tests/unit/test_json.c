/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: what the parser refuses, typed fields, order of members. */
#include <math.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/base/json.h"

static struct json *parse(const char *text, struct err *e)
{
    memset(e, 0, sizeof *e);
    return json_parse(text, strlen(text), "t.json", e);
}

static void test_refused(void **state)
{
    static const char *const bad[] = {"",           "{",     "{\"a\":1,\"a\":2}",
                                      "{\"a\":1}x", "[1,]",  "\"\xff\"",
                                      "NaN",        "1e999", "{\"a\\u0000b\":1}"};
    char deep[10001];
    struct err e;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (parse(bad[i], &e))
            fail_msg("%s was taken", bad[i]);
        assert_int_equal(e.kind, ERR_USE);
        assert_non_null(strstr(e.text, "t.json"));
    }
    memset(deep, '[', sizeof deep - 1);
    deep[sizeof deep - 1] = 0;
    assert_null(parse(deep, &e));
    assert_null(json_read("/no/such.json", &e));
    assert_non_null(strstr(e.text, "/no/such.json"));
}

static void test_fields(void **state)
{
    struct err e;
    struct json *j = parse(
        "{\"i\":3,\"r\":2.5,\"w\":4.0,\"t\":\"x\",\"b\":true,\"n\":null,\"a\":[1,2],\"big\":1e300}",
        &e);
    int64_t i;
    double r;
    int b;

    (void)state;
    assert_non_null(j);
    assert_int_equal(json_need_int(j, "no", 0, 9, &i, "t", &e), -1);
    assert_string_equal(e.text, "t: field 'no' is missing");
    assert_int_equal(json_need_int(j, "t", 0, 9, &i, "t", &e), -1);
    assert_string_equal(e.text, "t: field 't' must be an integer");
    assert_int_equal(json_need_int(j, "i", 4, 9, &i, "t", &e), -1);
    assert_string_equal(e.text, "t: field 'i' is 3, must be 4 to 9");
    assert_int_equal(json_need_int(j, "big", INT64_MIN, INT64_MAX, &i, "t", &e), -1);
    assert_int_equal(json_need_int(j, "r", 0, 9, &i, "t", &e), -1);
    assert_int_equal(json_need_int(NULL, "r", 0, 9, &i, "t", &e), -1);
    assert_int_equal(json_need_real(j, "t", &r, "t", &e), -1);
    assert_null(json_need_text(j, "i", "t", &e));
    assert_string_equal(json_text_or(j, "i", "none"), "none");
    assert_true(json_real_or(j, "i", -1) == 3);
    assert_true(json_real_or(j, "t", -1) == -1);
    assert_int_equal(json_opt_bool(j, "i", 0, &b, "t", &e), -1);
    assert_int_equal(json_need_int(j, "i", 3, 3, &i, "t", &e), 0);
    assert_int_equal(json_need_int(j, "w", 0, 9, &i, "t", &e), 0);
    assert_int_equal(i, 4);
    assert_int_equal(json_opt_int(j, "n", 0, 9, 7, &i, "t", &e), 0);
    assert_int_equal(i, 7);
    assert_int_equal(json_opt_real(j, "r", 0, &r, "t", &e), 0);
    assert_true(r > 2.4 && r < 2.6);
    assert_int_equal(json_opt_bool(j, "b", 0, &b, "t", &e), 0);
    assert_int_equal(b, 1);
    assert_int_equal(json_count(json_get(j, "a")), 2);
    struct json *huge = parse("{\"max\":1000000000000000019884624838656,\"i\":3}", &e);
    assert_int_equal(json_kind(json_get(huge, "max")), JSON_KIND_REAL);
    assert_int_equal(json_need_int(huge, "i", 3, 3, &i, "t", &e), 0);
    json_destroy(&huge);
    assert_null(json_at(json_get(j, "a"), 2));
    assert_null(json_get(json_get(j, "a"), "x"));
    assert_int_equal(json_count(NULL), 0);
    assert_int_equal(json_kind(NULL), JSON_KIND_NULL);
    json_destroy(&j);
    assert_null(j);
    json_destroy(&j);
}

static void test_build(void **state)
{
    struct json *j = json_new_object(), *copy;
    struct err e = {0};
    char *text;

    (void)state;
    assert_int_equal(json_set(j, "x", NULL), -1);
    assert_int_equal(json_set(j, "x", json_new_text("\xff")), -1);
    assert_int_equal(json_set_int(j, "z", -5), 0);
    assert_int_equal(json_set_real(j, "nan", NAN), 0);
    assert_int_equal(json_set_bool(j, "b", 0), 0);
    assert_int_equal(json_set_text(j, "a", "\"q\""), 0);
    assert_int_equal(json_set(j, "l", json_new_array()), 0);
    copy = json_clone(j);
    assert_int_equal(json_del(j, "z"), 0);
    text = json_print(j, 0, &e);
    assert_string_equal(text, "{\"nan\":null,\"b\":false,\"a\":\"\\\"q\\\"\",\"l\":[]}");
    free(text);
    assert_int_equal(json_count(copy), 5);
    json_destroy(&j);
    json_destroy(&copy);
}

/* Members come in order, also when two objects are walked at once and while others die. */
static void test_members(void **state)
{
    enum { N = 20000 };
    struct json *a = json_new_object(), *b = json_new_object();
    char key[16];

    (void)state;
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof key, "k%d", (i * 7919) % N);
        assert_int_equal(json_set_int(a, key, i), 0);
        assert_int_equal(json_set_int(b, key, -i), 0);
    }
    for (int i = 0; i < N; i++) {
        const char *name;
        int64_t v = 0;

        snprintf(key, sizeof key, "k%d", (i * 7919) % N);
        assert_int_equal(json_as_int(json_member(a, (size_t)i, &name), &v), 0);
        assert_int_equal(v, i);
        assert_string_equal(name, key);
        assert_int_equal(json_as_int(json_member(b, (size_t)i, NULL), &v), 0);
        assert_int_equal(v, -i);
        if (i == N / 2)
            assert_int_equal(json_del(a, "k0"), 0); /* the first: the rest moves up */
        if (i == N / 2)
            break;
    }
    int64_t v = 0;
    assert_int_equal(json_as_int(json_member(a, N / 2, NULL), &v), 0);
    assert_int_equal(v, N / 2 + 1);
    assert_null(json_member(a, N, NULL));
    assert_null(json_member(NULL, 0, NULL));
    json_destroy(&a);
    json_destroy(&b);
}

static struct json *numbers(int n, int from)
{
    struct json *o = json_new_object();
    char key[24];

    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof key, "k%d", from + i);
        assert_int_equal(json_set_int(o, key, from + i), 0);
    }
    return o;
}

static void all_there(const struct json *o, size_t n, int64_t from)
{
    assert_int_equal(json_count(o), n);
    for (size_t i = 0; i < n; i++) {
        int64_t v = -1;

        assert_int_equal(json_as_int(json_member(o, i, NULL), &v), 0);
        assert_int_equal(v, from + (int64_t)i);
    }
}

static void first_seen(const struct json *o)
{
    assert_non_null(json_member(o, 0, NULL));
}

/* An object made where one lay that was replaced, or refused, is walked from its own start. */
static void test_members_of_the_next(void **state)
{
    struct json *parent = json_new_object(), *list = json_new_array(), *child = numbers(4, 0),
                *next;

    (void)state;
    assert_int_equal(json_set(parent, "child", child), 0);
    first_seen(child);
    assert_int_equal(json_set(parent, "child", json_new_null()), 0);
    next = numbers(4, 100);
    all_there(next, 4, 100);
    first_seen(next);
    assert_int_equal(json_set(list, "not an object", next), -1);
    next = numbers(4, 200);
    all_there(next, 4, 200);
    first_seen(next);
    assert_int_equal(json_push(parent, next), -1);
    next = numbers(4, 300);
    all_there(next, 4, 300);
    json_destroy(&next);
    json_destroy(&list);
    json_destroy(&parent);
}

/* Two numbers are enough. */
static int add_up(void *ctx, const struct json *j, const char *what, struct err *e)
{
    int64_t *sum = ctx, v;

    if (json_as_int(j, &v) < 0)
        return err_set(e, ERR_USE, "%s: no number", what);
    sum[0] += v;
    return ++sum[1] == 2;
}

static void test_lines(void **state)
{
    static const struct {
        const char *text, *says;
        int64_t sum, count;
    } cases[] = {{"", NULL, 0, 0},
                 {"\xEF\xBB\xBF"
                  "1\n\n \t\r\n2\r\nno JSON",
                  NULL, 3, 2},
                 {"7", NULL, 7, 1},
                 {"1\n\n{\"a\":\n", ".jsonl:3", 1, 1},
                 {"\"1\"\n", ".jsonl:1: no number", 0, 0}};
    char path[] = "/tmp/ptq_json_XXXXXX.jsonl";
    const int fd = mkstemps(path, 6);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};
        int64_t sum[2] = {0, 0};

        assert_int_equal(fs_publish(path, cases[i].text, strlen(cases[i].text), &e), 0);
        assert_int_equal(json_read_lines(path, 1000, add_up, sum, &e), cases[i].says ? -1 : 0);
        assert_int_equal(sum[0], cases[i].sum);
        assert_int_equal(sum[1], cases[i].count);
        if (cases[i].says)
            assert_non_null(strstr(e.text, cases[i].says));
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_fields),
        cmocka_unit_test(test_build),   cmocka_unit_test(test_members),
        cmocka_unit_test(test_lines),   cmocka_unit_test(test_members_of_the_next)};

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
