/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: kinds, errno kept, text that is too long, rewriting with its own text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/err.h"

static void test_null(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_USE, "x"), -1);
    assert_int_equal(err_sys(NULL, "x"), -1);
    assert_int_equal(err_prefix(NULL, "x"), -1);
    assert_int_equal(err_exit(NULL), 0);
}

static void test_kinds(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(err_exit(&e), 0);
    errno = EAGAIN;
    assert_int_equal(err_set(&e, ERR_DATA, "%s %d", "only", 3), -1);
    assert_int_equal(errno, EAGAIN);
    assert_string_equal(e.text, "only 3");
    assert_int_equal(err_exit(&e), 1);
    errno = ENOENT;
    err_sys(&e, "cannot open '%s'", "f");
    assert_string_equal(e.text, "cannot open 'f': No such file or directory");
    assert_int_equal(err_exit(&e), 111);
    assert_int_equal(errno, ENOENT);
    err_prefix(&e, "b%d", 3);
    assert_string_equal(e.text, "b3: cannot open 'f': No such file or directory");
    assert_int_equal(e.kind, ERR_SYS);
    err_set(&e, ERR_USE, "%s again", e.text);
    assert_string_equal(e.text, "b3: cannot open 'f': No such file or directory again");
}

static void test_long(void **state)
{
    struct err e = {0};
    char text[2000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    err_set(&e, ERR_USE, "%s", text);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    err_prefix(&e, "front");
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
    assert_memory_equal(e.text, "front: xxx", 10);
    err_prefix(&e, "%s", text);
    err_sys(&e, "%s", text);
    assert_int_equal(strlen(e.text), sizeof e.text - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_null), cmocka_unit_test(test_kinds),
                                       cmocka_unit_test(test_long)};

    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
