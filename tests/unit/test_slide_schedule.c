/* SPDX-License-Identifier: Apache-2.0 */
/* test_slide_schedule - which blocks are learned together: the published schedule, and for every
 * other that windows never go back and leave no block out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "../../stages/slide/slide_schedule.h"

static char *text_of(size_t blocks, size_t shallow, size_t deep, size_t window, size_t stride)
{
    static char text[512];
    const struct slide_zones z = {shallow, deep, window, stride};
    struct slide_span *s;
    size_t n = 0, count;
    struct err e = {0};

    assert_int_equal(slide_schedule_make(blocks, &z, &s, &count, &e), 0);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%zu-%zu", i ? " " : "", s[i].first,
                              s[i].first + s[i].count - 1);
    free(s);
    return text;
}

static void the_published_schedule(void **state)
{
    const struct slide_zones z = {4, 4, 2, 1};
    struct slide_span *s;
    struct err e = {0};
    size_t count;

    (void)state;
    assert_string_equal(text_of(10, 4, 4, 2, 1), "0-0 0-1 0-2 0-3 3-4 4-5 5-6 6-9 7-9 8-9 9-9");
    assert_int_equal(slide_schedule_make(32, &z, &s, &count, &e), 0);
    assert_int_equal(count, 33);
    free(s);
}

static void small_models_and_single_kinds(void **state)
{
    (void)state;
    assert_string_equal(text_of(6, 4, 4, 2, 1), "0-0 0-1 0-2 0-3 2-5 3-5 4-5 5-5");
    assert_string_equal(text_of(4, 4, 4, 2, 1), "0-0 0-1 0-2 0-3 1-3 2-3 3-3");
    assert_string_equal(text_of(6, 0, 0, 2, 1), "0-1 1-2 2-3 3-4 4-5");
    assert_string_equal(text_of(5, 0, 0, 2, 2), "0-1 2-3 3-4");
    assert_string_equal(text_of(6, 2, 0, 2, 1), "0-0 0-1 1-2 2-3 3-4 4-5");
    assert_string_equal(text_of(6, 0, 2, 2, 1), "0-1 1-2 2-3 3-4 4-5 5-5");
    assert_string_equal(text_of(3, 0, 0, 1, 1), "0-0 1-1 2-2");
    assert_string_equal(text_of(1, 4, 4, 2, 1), "0-0");
    assert_string_equal(text_of(2, 0, 0, 4, 1), "0-1");
}

static void windows_never_go_back_and_leave_no_block_out(void **state)
{
    (void)state;
    for (size_t at = 0; at < (size_t)8 * 5 * 5 * 4 * 4; at++) {
        const size_t blocks = 1 + at % 8, window = 1 + at / 200 % 4;
        const struct slide_zones z = {at / 8 % 5, at / 40 % 5, window, 1 + at / 800 % 4 % window};
        struct slide_span *s;
        struct err e = {0};
        size_t count, end = 0;

        assert_int_equal(slide_schedule_make(blocks, &z, &s, &count, &e), 0);
        for (size_t i = 0; i < count; i++) {
            assert_true(s[i].count > 0 && s[i].first <= end); /* no block between them */
            assert_true(s[i].first + s[i].count >= end);
            assert_true(i == 0 || s[i].first >= s[i - 1].first);
            end = s[i].first + s[i].count;
        }
        assert_int_equal(end, blocks);
        free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_schedule),
        cmocka_unit_test(small_models_and_single_kinds),
        cmocka_unit_test(windows_never_go_back_and_leave_no_block_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
