/* SPDX-License-Identifier: Apache-2.0 */
/* The copy of a model: it has its name when all of it is what the list says and not before, goes on
 * where an earlier one ended, and one process at a time makes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../pipelines/copy.h"

static char dir[] = "/tmp/ptq-copy-XXXXXX", cache[64], digest[DIGEST_TEXT];
static struct lent_file files[] = {{"config.json", 5, ""}, {"empty", 0, ""}, {"w", 6, ""}};
static const char *const contents[] = {"12345", "", "abcdef"};
static struct lent list = {files, 3, 0, 11};

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct digest d;

        digest_start(&d);
        digest_add(&d, contents[i], strlen(contents[i]));
        digest_end(&d, files[i].digest);
    }
    lent_digest(&list, digest);
    if (!mkdtemp(dir))
        return -1;
    snprintf(cache, sizeof cache, "%s/deep/cache", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return fs_remove_tree(dir, NULL);
}

static int clear_up(void **state)
{
    (void)state;
    return fs_exists(cache) ? fs_remove_tree(cache, NULL) : 0;
}

static struct copy *begin(void)
{
    struct copy *c;
    struct err e = {0};

    if (copy_begin(cache, &list, &c, &e) != 1)
        fail_msg("%s", e.text);
    return c;
}

static void wants(const struct copy *c, size_t number, uint64_t from)
{
    size_t n;
    uint64_t at;

    assert_int_equal(copy_wants(c, &n, &at), 1);
    assert_int_equal(n, number);
    assert_int_equal(at, from);
}

static void take(struct copy *c, const char *text)
{
    struct err e = {0};

    if (copy_take(c, text, strlen(text), &e) < 0)
        fail_msg("%s", e.text);
}

static void found(int yes)
{
    char *model = NULL, want[200];

    assert_int_equal(copy_find(cache, &list, &model, NULL), yes);
    if (!yes)
        return;
    snprintf(want, sizeof want, "%s/%s", cache, digest);
    assert_string_equal(model, want);
    free(model);
}

static void finish(struct copy **c)
{
    size_t n;
    uint64_t at;
    struct err e = {0};

    assert_int_equal(copy_wants(*c, &n, &at), 0);
    if (copy_finish(*c, &e) < 0)
        fail_msg("%s", e.text);
    copy_close(c);
    found(1);
}

static void test_whole(void **state)
{
    struct copy *c = begin();
    char path[1024], *text, **names;
    size_t n;

    (void)state;
    found(0);
    wants(c, 0, 0);
    take(c, "123");
    wants(c, 0, 3);
    take(c, "45");
    wants(c, 2, 0); /* of an empty file nothing comes */
    assert_int_equal(copy_bytes(c), 5);
    take(c, "abcdef");
    found(0);
    finish(&c);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s/%s", cache, digest, files[i].name);
        text = fs_read(path, 100, &n, NULL);
        assert_string_equal(text, contents[i]);
        free(text);
    }
    assert_int_equal(fs_list(cache, &names, &n, NULL), 0);
    assert_int_equal(n, 1); /* neither a part nor a lock is left */
    fs_names_free(&names, n);
}

static void test_gone_on_with(void **state)
{
    struct copy *c = begin();

    (void)state;
    take(c, "12345");
    take(c, "abc");
    copy_close(&c);
    c = begin();
    assert_int_equal(copy_bytes(c), 8);
    wants(c, 2, 3);
    take(c, "def");
    finish(&c);
}

/* After a power cut a file may have bytes that never came. */
static void test_damaged(void **state)
{
    struct copy *c = begin();
    char path[300];
    struct err e = {0};

    (void)state;
    take(c, "12345");
    take(c, "abX");
    copy_close(&c);
    c = begin();
    take(c, "def");
    wants(c, 2, 0); /* from its start */
    assert_int_equal(copy_bytes(c), 5);
    assert_int_equal(copy_take(c, "abXdef", 6, &e), -1);
    assert_int_equal(e.kind, ERR_DATA);
    assert_non_null(strstr(e.text, "file 'w' of the model came 2 times and is not what the head"));
    copy_close(&c);
    found(0);
    snprintf(path, sizeof path, "%s/%s.part/w.part", cache, digest);
    assert_int_equal(fs_publish(path, "abcdefgh", 8, &e), 0); /* longer than it can be */
    c = begin();
    wants(c, 2, 0);
    take(c, "abcdef");
    finish(&c);
}

static void test_too_much(void **state)
{
    struct copy *c = begin();
    struct err e = {0};

    (void)state;
    assert_int_equal(copy_take(c, "123456", 6, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    wants(c, 0, 0);
    copy_close(&c);
}

static void test_one_at_a_time(void **state)
{
    struct copy *c = begin(), *second;

    (void)state;
    assert_int_equal(copy_begin(cache, &list, &second, NULL), 0);
    assert_null(second);
    take(c, "12345");
    copy_close(&c); /* its process was lost */
    assert_int_equal(copy_begin(cache, &list, &second, NULL), 1);
    wants(second, 2, 0);
    take(second, "abcdef");
    finish(&second);
}

/* A link in the place of a part would be written through. */
static void test_link(void **state)
{
    struct copy *c = begin();
    char path[300], aim[100];
    struct err e = {0};
    char *text;
    size_t n;

    (void)state;
    copy_close(&c);
    snprintf(aim, sizeof aim, "%s/aim", dir);
    assert_int_equal(fs_publish(aim, "aim", 3, &e), 0);
    snprintf(path, sizeof path, "%s/%s.part/config.json.part", cache, digest);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(aim, path), 0);
    assert_int_equal(copy_begin(cache, &list, &c, &e), -1);
    text = fs_read(aim, 100, &n, NULL);
    assert_string_equal(text, "aim");
    free(text);
}

static void test_no_room(void **state)
{
    struct lent_file huge[] = {{"config.json", (uint64_t)1 << 60, ""}};
    struct lent l = {huge, 1, 0, (uint64_t)1 << 60};
    struct err e = {0};
    struct copy *c;

    (void)state;
    memcpy(huge[0].digest, files[0].digest, DIGEST_TEXT);
    assert_int_equal(copy_begin(cache, &l, &c, &e), -1);
    assert_int_equal(e.kind, ERR_SYS);
    assert_non_null(strstr(e.text, "has room for"));
    assert_non_null(strstr(e.text, "--cache DIR"));
    assert_null(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_too_much, clear_up),
        cmocka_unit_test_teardown(test_no_room, clear_up),
        cmocka_unit_test_teardown(test_link, clear_up),
        cmocka_unit_test_teardown(test_whole, clear_up),
        cmocka_unit_test_teardown(test_gone_on_with, clear_up),
        cmocka_unit_test_teardown(test_damaged, clear_up),
        cmocka_unit_test_teardown(test_one_at_a_time, clear_up),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
