/* SPDX-License-Identifier: Apache-2.0 */
/* weigh: bad bounds, weights by hand, what cannot be brought to mean 1. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../common/model/weigh.h"

static void bounds(void **state)
{
    static const char *const bad[] = {"",    "1",   "1,",    ",1",    "1;2",   "1,2,3", "-1,2",
                                      "0,0", "2,1", "nan,1", "0,nan", "0,inf", "a,b",   "1,2x"};
    struct weigh_clip c;
    struct err e = {0};
    struct json *record = json_new_object();

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (weigh_clip_parse(bad[i], &c, &e) == 0)
            fail_msg("'%s' was taken", bad[i]);
        assert_int_equal(e.kind, ERR_USE);
        assert_non_null(strstr(e.text, "two numbers"));
    }
    assert_int_equal(weigh_clip_record(&(struct weigh_clip){0, 0}, record), 0);
    assert_int_equal(json_count(record), 0);
    assert_int_equal(weigh_clip_parse("0.1,10", &c, &e), 0);
    assert_true(c.low == 0.1 && c.high == 10.0);
    assert_int_equal(weigh_clip_record(&c, record), 0);
    assert_int_equal(json_count(json_get(record, "weight_clip")), 2);
    json_destroy(&record);
}

static void close_to(const float *w, const double *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)w[i] - want[i]) <= 1e-6))
            fail_msg("weight %zu is %.9g, not %.9g", i, (double)w[i], want[i]);
}

static void mean_one(void **state)
{
    float w[4] = {2, 0, 2, 4}, c[4] = {2, 0, 2, 4}, tenth[3] = {0.1f, 0.1f, 0.1f};

    (void)state;
    assert_int_equal(weigh_normal(w, 4, &(struct weigh_clip){0, 0}), 1);
    close_to(w, (const double[]){1, 0, 1, 2}, 4);
    /* 1 .5 1 1.5: mean 1 already */
    assert_int_equal(weigh_normal(c, 4, &(struct weigh_clip){0.5, 1.5}), 1);
    close_to(c, (const double[]){1, 0.5, 1, 1.5}, 4);
    assert_int_equal(weigh_normal(c, 4, &(struct weigh_clip){0, 1}), 1); /* 1 .5 1 1 over 3.5/4 */
    close_to(c, (const double[]){8 / 7., 4 / 7., 8 / 7., 8 / 7.}, 4);
    assert_int_equal(weigh_normal(tenth, 3, &(struct weigh_clip){0, 0}), 1);
    assert_true(tenth[0] == 1 && tenth[1] == 1 && tenth[2] == 1); /* equal weights are exactly 1 */
}

static void degenerate(void **state)
{
    float zeros[2] = {0, 0}, nan[2] = {1, NAN}, inf[2] = {INFINITY, 1};
    const struct weigh_clip none = {0, 0}, some = {0.1, 10};

    (void)state;
    assert_int_equal(weigh_normal(zeros, 2, &none), 0);
    assert_int_equal(weigh_normal(nan, 2, &some), 0);
    assert_int_equal(weigh_normal(inf, 2, &some), 0);
    assert_true(zeros[0] == 1 && zeros[1] == 1 && nan[0] == 1 && nan[1] == 1 && inf[0] == 1 &&
                inf[1] == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds),
        cmocka_unit_test(degenerate),
        cmocka_unit_test(mean_one),
    };

    return cmocka_run_group_tests_name("weigh", tests, NULL, NULL);
}
