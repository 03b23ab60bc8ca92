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
    assert_int_equal(fs_mkdir("-", &e), -1);
    assert_int_equal(fs_publish("-", "x", 1, &e), -1);
    assert_non_null(strstr(e.text, "./-"));
    assert_int_equal(fs_exists("-"), 0);
    assert_int_equal(fs_sync_dir("/no/such", &e), -1);
    assert_int_equal(fs_write_all(-1, "x", 1, "nothing", &e), -1);
    assert_int_equal(fs_exists("/no/such"), 0);
    assert_int_equal(fs_same("/no/such", "/no/such"), 0);
    assert_int_equal(fs_same("/etc", "/etc/."), 0); /* no files */
    assert_int_equal(fs_same("/etc/passwd", "/etc/../etc/passwd"), 1);
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

static void text_is(const char *path, const char *text)
{
    struct err e = {0};
    size_t n;
    char *now = fs_read(path, 100, &n, &e);

    assert_non_null(now);
    assert_string_equal(now, text);
    free(now);
}

static void test_links_stay(void **state)
{
    char *dir = at("links"), *far = at("links/far"), *target = at("links/far/target"),
         *one = at("links/one"), *two = at("links/two"), *loop = at("links/loop");
    struct err e = {0};
    struct stat st;

    (void)state;
    assert_int_equal(fs_mkdir(far, &e), 0);
    assert_int_equal(symlink("far/target", one), 0);
    assert_int_equal(symlink(one, two), 0);
    assert_int_equal(fs_publish(two, "new", 3, &e), 0); /* nothing was behind it yet */
    text_is(target, "new");
    assert_int_equal(chmod(target, 0640), 0);
    assert_int_equal(fs_publish(two, "newer", 5, &e), 0);
    assert_int_equal(fs_copy("/dev/null", two, &e), 0);
    assert_int_equal(fs_publish(two, "newest", 6, &e), 0);
    text_is(target, "newest");
    assert_int_equal(lstat(one, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(lstat(two, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(lstat(target, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(symlink("loop", loop), 0);
    assert_int_equal(fs_publish(loop, "x", 1, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_int_equal(fs_publish(dir, "x", 1, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, "irectory"));
    free(loop);
    free(two);
    free(one);
    free(target);
    free(far);
    free(dir);
}

/* A device, a FIFO, an open descriptor. */
static void test_written_through(void **state)
{
    char *fifo = at("fifo"), *file = at("behind"), *full = at("full"), room[8] = "", proc[40];
    struct err e = {0};
    struct stat st;
    int fd;

    (void)state;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    fd = open(fifo, O_RDONLY | O_NONBLOCK);
    assert_int_equal(fs_publish(fifo, "through", 7, &e), 0);
    assert_int_equal(read(fd, room, 7), 7);
    assert_string_equal(room, "through");
    close(fd);
    assert_int_equal(lstat(fifo, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_equal(fs_check_regular(fifo, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_non_null(strstr(e.text, fifo));
    assert_int_equal(fs_check_regular("/tmp", &e), -1);
    assert_int_equal(fs_check_regular(file, &e), 0); /* not there */

    fd = open(file, O_RDWR | O_CREAT, 0600);
    assert_int_equal(write(fd, "a", 1), 1);
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    assert_int_equal(fs_publish(proc, "b", 1, &e), 0);
    assert_int_equal(pread(fd, room, 8, 0), 2); /* not another file of that name */
    close(fd);

    assert_int_equal(symlink("/dev/full", full), 0);
    assert_int_equal(fs_publish(full, "x", 1, &e), -1);
    assert_int_equal(e.kind, ERR_SYS);
    assert_non_null(strstr(e.text, "No space left"));
    assert_int_equal(stat("/dev/full", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    free(full);
    free(file);
    free(fifo);
}

/* Nobody's file is taken for a temporary one, and nothing is written through a link of its name. */
static void test_temporary_is_new(void **state)
{
    char *path = at("t/out"), *dir = at("t"), *trap = at("trap"), *temp;
    struct err e = {0};
    struct fs_out o;

    (void)state;
    assert_int_equal(fs_mkdir(dir, &e), 0);
    assert_int_equal(fs_publish(path, "old", 3, &e), 0);
    assert_int_equal(fs_publish(trap, "precious", 8, &e), 0);
    assert_int_equal(fs_out_open(&o, path, &e), 0);
    temp = strdup(o.temp);
    fs_out_drop(&o);
    assert_false(fs_exists(temp));
    text_is(path, "old");
    assert_int_equal(symlink(trap, temp), 0);
    assert_int_equal(fs_out_open(&o, path, &e), 0);
    assert_int_equal(fs_write_all(o.fd, "new", 3, "it", &e), 0);
    text_is(path, "old");
    assert_int_equal(fs_out_finish(&o, &e), 0);
    fs_out_drop(&o);
    text_is(path, "new");
    text_is(trap, "precious");
    free(temp);
    free(trap);
    free(dir);
    free(path);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bad),
                                       cmocka_unit_test(test_publish),
                                       cmocka_unit_test(test_links_stay),
                                       cmocka_unit_test(test_written_through),
                                       cmocka_unit_test(test_temporary_is_new),
                                       cmocka_unit_test(test_at_offsets),
                                       cmocka_unit_test(test_full_disk)};

    return cmocka_run_group_tests_name("fs", tests, make_root, drop_root);
}
