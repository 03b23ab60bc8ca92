/* SPDX-License-Identifier: Apache-2.0 */
/* spill: a file that no folder shows, made at the first need; errors name the folder and the
 * option. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/base/spill.h"

static char root[] = "/tmp/ptq_spill_XXXXXX";

static size_t names_in_root(void)
{
    struct err e = {0};
    char **names;
    size_t n;

    assert_int_equal(fs_list(root, &names, &n, &e), 0);
    fs_names_free(&names, n);
    return n;
}

static void a_folder_that_is_not_there(void **state)
{
    struct spill s = SPILL_IN("/nonexistent-folder");
    struct err e = {0};

    (void)state;
    assert_int_equal(spill_make(&s, &e), -1);
    assert_int_equal(e.kind, ERR_SYS);
    assert_non_null(strstr(e.text, "'/nonexistent-folder' (--tmp or TMPDIR"));
    e.text[0] = 0;
    assert_int_equal(spill_write(&s, "abc", 3, 0, &e), -1);
    assert_non_null(strstr(e.text, "'/nonexistent-folder' (--tmp or TMPDIR"));
    spill_close(&s);
}

static void what_was_written_comes_back(void **state)
{
    struct spill s = SPILL_IN(root);
    struct err e = {0};
    char room[4] = "";

    (void)state;
    assert_int_equal(spill_empty(&s), 0); /* not made yet */
    assert_int_equal(spill_write(&s, "abc", 3, 5, &e), 0);
    assert_int_equal(names_in_root(), 0);
    assert_int_equal(spill_read(&s, room, 3, 5, &e), 0);
    assert_string_equal(room, "abc");
    assert_int_equal(spill_make(&s, &e), 0); /* the same one */
    assert_int_equal(spill_read(&s, room, 3, 5, &e), 0);
    assert_string_equal(room, "abc");
    assert_int_equal(spill_empty(&s), 0);
    assert_int_equal(spill_read(&s, room, 3, 5, &e), -1);
    assert_non_null(strstr(e.text, root));
    spill_close(&s);
    spill_close(&s);
}

static void the_folder_is_that_of_the_environment(void **state)
{
    (void)state;
    setenv("TMPDIR", "", 1);
    assert_string_equal(spill_dir(), "/var/tmp");
    setenv("TMPDIR", "/x", 1);
    assert_string_equal(spill_dir(), "/x");
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
    struct err e = {0};

    (void)state;
    return fs_remove_tree(root, &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_that_is_not_there),
        cmocka_unit_test(what_was_written_comes_back),
        cmocka_unit_test(the_folder_is_that_of_the_environment),
    };
    return cmocka_run_group_tests_name("spill", tests, make_root, drop_root);
}
