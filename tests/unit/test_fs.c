/* SPDX-License-Identifier: Apache-2.0 */
/* Files and folders, in a folder of their own below the temporary one. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/fs.h"

static char root[64];

static char *at(const char *name)
{
    return fs_join(root, name, NULL);
}

static void test_bad(void **state)
{
    struct err e = {0};
    uint64_t n;
    size_t length;
    int empty;
    char **names;

    (void)state;
    assert_null(fs_read("/no/such", 10, &length, &e));
    assert_int_equal(e.kind, ERR_USE);
    assert_null(fs_read("/etc/passwd", 3, &length, &e));
    assert_non_null(strstr(e.text, "more than the 3 bytes"));
    assert_null(fs_read("/etc", 30, &length, &e));
    assert_int_equal(fs_size("/no/such", &n, &e), -1);
    assert_int_equal(fs_list("/no/such", &names, &length, &e), -1);
    assert_int_equal(fs_empty_dir("/no/such", &empty, &e), -1);
    assert_int_equal(fs_publish("/no/such/file", "x", 1, &e), -1);
    assert_int_equal(fs_copy("/no/such", "/tmp/x", &e), -1);
    assert_int_equal(fs_mkdir("/etc/passwd/x", &e), -1);
    assert_int_equal(fs_sync_dir("/no/such", &e), -1);
    assert_int_equal(fs_write_all(-1, "x", 1, "nothing", &e), -1);
    assert_int_equal(fs_exists("/no/such"), 0);
    fs_names_free(NULL, 0);
}

static void test_publish(void **state)
{
    char *a = at("deep/er/a"), *b = at("deep/er/b"), *dir = at("deep/er"), *text, **names;
    struct err e = {0};
    size_t n = 0;
    uint64_t bytes;
    int empty;

    (void)state;
    assert_int_equal(fs_mkdir(dir, &e), 0);
    assert_int_equal(fs_mkdir(dir, &e), 0);
    assert_int_equal(fs_empty_dir(dir, &empty, &e), 0);
    assert_true(empty);
    assert_int_equal(fs_publish(b, "hello\0you", 9, &e), 0);
    assert_int_equal(fs_publish(b, "short", 5, &e), 0);
    assert_int_equal(fs_copy(b, a, &e), 0);
    text = fs_read(a, 5, &n, &e);
    assert_non_null(text);
    assert_int_equal(n, 5);
    assert_string_equal(text, "short");
    free(text);
    assert_int_equal(fs_size(a, &bytes, &e), 0);
    assert_int_equal(bytes, 5);
    assert_int_equal(fs_list(dir, &names, &n, &e), 0);
    assert_int_equal(n, 2); /* no temporary file is left */
    assert_string_equal(names[0], "a");
    assert_string_equal(names[1], "b");
    fs_names_free(&names, n);
    assert_int_equal(fs_mkdir(a, &e), -1);
    assert_true(fs_is_dir(dir));
    free(a);
    free(b);
    free(dir);
}

static void test_at_offsets(void **state)
{
    char *path = at("f"), room[8] = "";
    struct err e = {0};
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fs_pwrite_all(fd, "abcdef", 6, 2, "f", &e), 0);
    assert_int_equal(fs_pread_all(fd, room, 3, 3, "f", &e), 0);
    assert_string_equal(room, "bcd");
    assert_int_equal(fs_pread_all(fd, room, 8, 3, "'f'", &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_string_equal(e.text, "'f' is truncated: 3 bytes are missing");
    close(fd);
    free(path);
}

static void test_full_disk(void **state)
{
    struct err e = {0};
    int fd = open("/dev/full", O_WRONLY);

    (void)state;
    if (fd < 0)
        skip();
    assert_int_equal(fs_write_all(fd, "x", 1, "'/dev/full'", &e), -1);
    assert_int_equal(e.kind, ERR_SYS);
    assert_non_null(strstr(e.text, "No space left"));
    close(fd);
}

static int make_root(void **state)
{
    (void)state;
    snprintf(root, sizeof root, "/tmp/ptq_fs_XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
    struct err e = {0};
    char *link_path = at("link");
    int rc;

    (void)state;
    rc = symlink("/etc", link_path); /* removing the tree must not follow it */
    free(link_path);
    if (rc < 0 || fs_remove_tree(root, &e) < 0 || fs_exists(root) || !fs_exists("/etc/passwd"))
        return -1;
    return fs_remove_tree(root, &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bad), cmocka_unit_test(test_publish),
                                       cmocka_unit_test(test_at_offsets),
                                       cmocka_unit_test(test_full_disk)};

    return cmocka_run_group_tests_name("fs", tests, make_root, drop_root);
}
