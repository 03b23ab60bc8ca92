/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../common/wire/lanes.h"

static void test_print(void **state)
{
    static const uint64_t lane[] = {0, 0, 1, 3, 5, 5, 6, 7, UINT64_MAX};
    char text[40];

    (void)state;
    assert_int_equal(lanes_print(lane, 0, text, sizeof text), 0);
    assert_string_equal(text, "");
    assert_int_equal(lanes_print(lane, 1, text, sizeof text), 0);
    assert_string_equal(text, "0");
    assert_int_equal(lanes_print(lane, 8, text, sizeof text), 0);
    assert_string_equal(text, "0-1,3,5-7");
    assert_int_equal(lanes_print(lane + 8, 1, text, sizeof text), 0);
    assert_string_equal(text, "18446744073709551615");
    assert_int_equal(lanes_print(lane, 8, text, 10), 0);
    assert_int_equal(lanes_print(lane, 8, text, 9), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_print)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
