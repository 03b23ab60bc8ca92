/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that two files have: known by the sampler's record, in sums of several too, and by the sums
 * themselves; a division in chunks, weights and versions make no other rows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../ops/tools/merge/merge_twice.h"

/* Provenance of rows that were drawn from data; what else the record says. */
#define DRAWN(data, rest) "[{\"stage\": \"sample\", \"data\": \"" data "\"" rest "}]"
#define SUM(others) "[{\"stage\": \"merge\", \"others\": [" others "]}]"

/* One file: prov or NULL, and the one sum; none when it is NAN. */
static int see(struct merge_twice *t, const char *prov, double sum, const char *file,
               const char **other, struct err *e)
{
    double value[1] = {sum};
    struct tensor S = {.dtype = DT_F64, .ndim = 1, .shape = {1}, .bytes = sizeof value};
    struct problem_view v = {.S = isnan(sum) ? NULL : &S};
    struct json *j = NULL;
    int rc;

    S.data = (void *)value;
    if (prov)
        assert_non_null(j = json_parse(prov, strlen(prov), "prov", e));
    v.prov = j;
    rc = merge_twice_see(t, &v, file, other, e);
    json_destroy(&j);
    return rc;
}

static int both(const char *one, double x, const char *two, double y, struct err *e)
{
    struct merge_twice t = {0};
    const char *other = NULL;
    int rc;

    *e = (struct err){0};
    assert_int_equal(see(&t, one, x, "a.ptq", &other, e), 0);
    rc = see(&t, two, y, "b.ptq", &other, e);
    if (rc > 0)
        assert_string_equal(other, "a.ptq");
    if (rc < 0 && (!strstr(e->text, "b.ptq") || !strstr(e->text, "a.ptq")))
        fail_msg("'%s' does not name both", e->text);
    merge_twice_release(&t);
    return rc;
}

static void by_the_record(void **state)
{
    struct err e;

    (void)state;
    assert_int_equal(both(DRAWN("1", ", \"seed\": 1"), 1, DRAWN("1", ", \"seed\": 1"), 2, &e), -1);
    assert_non_null(strstr(e.text, "same data, 1)"));
    assert_int_equal(both(DRAWN("1", ", \"lanes\": 1, \"weights\": \"none\""), 1,
                          DRAWN("1", ", \"lanes\": 2, \"version\": \"0\", \"weights\": \"length\""),
                          2, &e),
                     -1);
    assert_int_equal(both(DRAWN("1", ", \"seed\": 1"), 1, DRAWN("1", ", \"seed\": 2"), 2, &e), 1);
    assert_int_equal(both(DRAWN("1", ""), 1, DRAWN("2", ""), 2, &e), 0);
    /* a record that says no data says nothing */
    assert_int_equal(both("[{\"stage\": \"sample\"}]", 1, "[{\"stage\": \"sample\"}]", 2, &e), 0);
    assert_int_equal(both("[7, null]", 1, "[7, null]", 2, &e), 0);
}

static void in_what_is_a_sum(void **state)
{
    struct merge_twice t = {0};
    const char *other;
    struct err e;

    (void)state;
    assert_int_equal(both(DRAWN("2", ""), 1, SUM(DRAWN("1", "") "," DRAWN("2", "")), 2, &e), -1);
    assert_int_equal(both(SUM(SUM(DRAWN("2", ""))), 1, DRAWN("2", ""), 2, &e), -1);
    assert_int_equal(both(SUM(DRAWN("1", "")), 1, SUM(DRAWN("2", "")), 2, &e), 0);
    assert_int_equal(see(&t, SUM(DRAWN("1", "") "," DRAWN("1", "")), 1, "a", &other, &e), -1);
    assert_non_null(strstr(e.text, "another part of it"));
    merge_twice_release(&t);
}

static void by_the_sums(void **state)
{
    struct err e;

    (void)state;
    assert_int_equal(both(NULL, 1, NULL, 1, &e), -1);
    assert_int_equal(both(NULL, 1, NULL, 2, &e), 0);
    assert_int_equal(both(DRAWN("1", ""), 1, DRAWN("2", ""), 1, &e), -1); /* a copy of the data */
    assert_int_equal(both(NULL, 0, NULL, 0, &e), 0);                      /* no row came here */
    assert_int_equal(both(NULL, NAN, NULL, NAN, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_the_record),
                                       cmocka_unit_test(in_what_is_a_sum),
                                       cmocka_unit_test(by_the_sums)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
