/* SPDX-License-Identifier: Apache-2.0 */
/* msgpack: lying counts, refused types, limits; then round trips, exact for every number. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/wire/mpk.h"

#define REFUSED(bytes, says) check_refused(bytes, sizeof(bytes) - 1, says)
static void check_refused(const char *bytes, size_t n, const char *says)
{
    struct err e = {0};

    assert_null(mpk_decode(bytes, n, "head", &e));
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, says) || strncmp(e.text, "head: ", 6))
        fail_msg("'%s' does not say '%s'", e.text, says);
}

static void test_refused(void **state)
{
    char deep[64];

    (void)state;
    REFUSED("", "middle");
    REFUSED("\xdd\xff\xff\xff\xff", "count");
    REFUSED("\xdf\xff\xff\xff\xff"
            "aa",
            "count");
    REFUSED("\xdc\xff\xff", "count");
    REFUSED("\xdb\xff\xff\xff\xff"
            "abc",
            "middle");
    REFUSED("\xdb\x01", "middle");
    REFUSED("\xa5"
            "abcd",
            "middle");
    REFUSED("\xcb\x01\x02", "middle");
    REFUSED("\xc4\x01x", "bin");
    REFUSED("\xc7\x01\x01x", "ext");
    REFUSED("\xd4\x01x", "ext");
    REFUSED("\xd8\x01xxxxxxxxxxxxxxxx", "ext");
    REFUSED("\xc1", "reserved");
    REFUSED("\x01\x01", "behind");
    REFUSED("\x81\x01\x01", "key");
    REFUSED("\x81\xc0\x01", "key");
    REFUSED("\x81\xa1\x00\x01", "key");
    REFUSED("\x82\xa1"
            "a\x01\xa1"
            "a\x02",
            "twice");
    REFUSED("\xa2\xff\xfe", "UTF-8");
    REFUSED("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "too large");
    REFUSED("\xcb\x7f\xf0\0\0\0\0\0\0", "finite");
    memset(deep, 0x91, sizeof deep);
    check_refused(deep, sizeof deep, "32 deep");
}

static void test_too_many(void **state)
{
    size_t n = ((size_t)1 << 20) + 1;
    char *bytes = malloc(n + 5);

    (void)state;
    assert_non_null(bytes);
    memset(bytes, 0xc0, n + 5);
    memcpy(bytes, "\xdd\x00\x10\x00\x01", 5);
    check_refused(bytes, n + 5, "1048576");
    free(bytes);
}

static struct json *sample(void)
{
    static const int64_t ints[] = {0,     1,         127,        128,       255,      256, 65535,
                                   65536, INT32_MAX, UINT32_MAX, INT64_MAX, -1,       -32, -33,
                                   -128,  -129,      -32769,     INT32_MIN, INT64_MIN};
    static const double reals[] = {0.0,     -0.0,     0.1, 1e-300, DBL_MAX,
                                   DBL_MIN, 4.9e-324, 3.0, -1.5,   0x1.fffffffffffffp-1};
    struct json *j = json_new_object(), *a = json_new_array(), *o = json_new_object();

    for (size_t i = 0; i < sizeof ints / sizeof ints[0]; i++)
        assert_int_equal(json_push(a, json_new_int(ints[i])), 0);
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++)
        assert_int_equal(json_push(a, json_new_real(reals[i])), 0);
    assert_int_equal(json_set(j, "z", a), 0);
    json_set_text(o, "", "");
    json_set_text(o, "long",
                  "a text with more than thirty-one bytes, \xc3\xa9 and \xe2\x82\xac in it");
    json_set(o, "nul", json_new_text_n("a\0b", 3));
    json_set_bool(o, "yes", 1);
    json_set_bool(o, "no", 0);
    json_set(o, "none", json_new_null());
    json_set(o, "empty", json_new_array());
    assert_int_equal(json_set(j, "a", o), 0);
    return j;
}

static void test_round_trip(void **state)
{
    struct json *j = sample(), *back;
    struct err e = {0};
    void *data, *again;
    size_t n, m;

    (void)state;
    assert_int_equal(mpk_encode(j, &data, &n, &e), 0);
    back = mpk_decode(data, n, "head", &e);
    assert_non_null(back);
    /* same bytes: same values, types and order */
    assert_int_equal(mpk_encode(back, &again, &m, &e), 0);
    assert_int_equal(n, m);
    assert_memory_equal(data, again, n);
    const struct json *z = json_get(back, "z"), *want = json_get(j, "z");
    for (size_t i = 0; i < json_count(z); i++) {
        int64_t a = 0, b = 1;
        double x = 0, y = 1;

        assert_int_equal(json_kind(json_at(z, i)), json_kind(json_at(want, i)));
        assert_int_equal(json_as_real(json_at(z, i), &x), 0);
        assert_int_equal(json_as_real(json_at(want, i), &y), 0);
        assert_memory_equal(&x, &y, sizeof x);
        if (json_kind(json_at(z, i)) == JSON_KIND_INT) {
            json_as_int(json_at(z, i), &a);
            json_as_int(json_at(want, i), &b);
            assert_true(a == b);
        }
    }
    for (size_t cut = 0; cut < n; cut++)
        assert_null(mpk_decode(data, cut, "head", NULL));
    free(data);
    free(again);
    json_destroy(&j);
    json_destroy(&back);
}

static void test_depth(void **state)
{
    struct json *j = json_new_int(1);
    struct err e = {0};
    void *data;
    size_t n;

    (void)state;
    for (int i = 0; i < 32; i++) {
        struct json *a = json_new_array();

        json_push(a, j);
        j = a;
    }
    assert_int_equal(mpk_encode(j, &data, &n, &e), 0);
    struct json *back = mpk_decode(data, n, "head", &e);
    if (!back)
        fail_msg("%s", e.text);
    json_destroy(&back);
    free(data);
    struct json *a = json_new_array();
    json_push(a, j);
    assert_int_equal(mpk_encode(a, &data, &n, &e), -1);
    json_destroy(&a);
}

static void test_float32(void **state)
{
    struct err e = {0};
    struct json *j = mpk_decode("\xca\x3f\x80\0\0", 5, "head", &e);
    double v = 0;

    (void)state;
    assert_int_equal(json_as_real(j, &v), 0);
    assert_true(v > 0.99 && v < 1.01);
    json_destroy(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_float32)};

    return cmocka_run_group_tests_name("mpk", tests, NULL, NULL);
}
