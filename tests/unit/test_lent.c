/* SPDX-License-Identifier: Apache-2.0 */
/* The list of files that a head lends: what a folder gives, and what a worker takes of a list that
 * comes from the network: names of files in one folder, and nothing else. */
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
#include "../../pipelines/lent.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define FILE_OF(name, bytes) "{\"name\":\"" name "\",\"bytes\":" bytes ",\"digest\":\"" ZEROS "\"}"
#define CONFIG FILE_OF("config.json", "2")

static int take(const char *text, struct lent *l, struct err *e)
{
    struct json *j = json_parse(text, strlen(text), "test", e);
    int rc = j ? lent_read(j, l, e) : -1;

    json_destroy(&j);
    return rc;
}

static void refused(const char *text, const char *why)
{
    struct lent l;
    struct err e = {0};

    if (take(text, &l, &e) == 0)
        fail_msg("%s was taken", text);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, why))
        fail_msg("'%s' does not say '%s'", e.text, why);
    assert_null(l.file);
}

static void test_refused(void **state)
{
    char many[40 * 1024] = "", *at = many;

    (void)state;
    refused("{}", "'files' must be a list");
    refused("[]", "no config.json");
    refused("[7]", "name");
    refused("[{\"name\":\"config.json\"}]", "digest");
    refused("[{\"name\":\"config.json\",\"digest\":\"" ZEROS "\"}]", "bytes");
    refused("[{\"name\":\"config.json\",\"bytes\":1,\"digest\":\"00\"}]", "is no digest");
    refused("[" FILE_OF("config.json", "-1") "]", "bytes");
    refused("[" CONFIG "," FILE_OF("../x", "1") "]", "file '../x': a name is");
    refused("[" CONFIG "," FILE_OF("/etc/passwd", "1") "]", "a name is");
    refused("[" CONFIG "," FILE_OF("a/b", "1") "]", "a name is");
    refused("[" CONFIG "," FILE_OF("..", "1") "]", "a name is");
    refused("[" CONFIG "," FILE_OF(".profile", "1") "]", "a name is");
    refused("[" CONFIG "," FILE_OF("", "1") "]", "a name is");
    refused("[" CONFIG "," FILE_OF("a\\nb", "1") "]", "a name is");
    refused("[" CONFIG "," FILE_OF("a.part", "1") "]", "a name is");
    refused("[" CONFIG "," CONFIG "]", "'config.json' comes twice");
    refused("[" CONFIG "," FILE_OF("a", "9223372036854775806") "]", "9223372036854775806 bytes");
    refused("[" FILE_OF("a.gguf", "1") "," FILE_OF("b.gguf", "1") "]", "no config.json");
    refused("[" FILE_OF("x.safetensors", "1") "]", "no config.json");
    at += sprintf(at, "[%s", CONFIG);
    memset(at, 'x', 200);
    at[200] = '\0';
    sprintf(at, ",{\"name\":\"%0128d\",\"bytes\":1,\"digest\":\"" ZEROS "\"}]", 7);
    refused(many, "a name is");
}

static void test_many(void **state)
{
    struct json *list = json_new_array();
    struct lent l;
    struct err e = {0};

    (void)state;
    for (int i = 0; i <= LENT_FILES; i++) {
        struct json *o = json_new_object();
        char name[32];

        snprintf(name, sizeof name, i ? "f%d" : "config.json", i);
        json_set_text(o, "name", name);
        json_set_int(o, "bytes", 1);
        json_set_text(o, "digest", ZEROS);
        assert_int_equal(json_push(list, o), 0);
    }
    assert_int_equal(lent_read(list, &l, &e), -1);
    assert_non_null(strstr(e.text, "more than 1024 files"));
    json_destroy(&list);
}

/* Another name, size or content makes another digest, and so another copy. */
static void test_digest(void **state)
{
    static const char *const lists[] = {"[" CONFIG "]", "[" FILE_OF("config.json", "3") "]",
                                        "[" CONFIG "," FILE_OF("a", "0") "]",
                                        "[" FILE_OF("a", "0") "," CONFIG "]"};
    char one[4][DIGEST_TEXT];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct lent l;

        assert_int_equal(take(lists[i], &l, NULL), 0);
        lent_digest(&l, one[i]);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(one[i], one[k]);
        lent_release(&l);
    }
}

/* What a folder gives, a worker takes; the rest of it is not lent. */
static void test_found(void **state)
{
    static const char st[] = "\x3a\0\0\0\0\0\0\0"
                             "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],"
                             "\"data_offsets\":[0,4]}}    \0\0\0\0";
    char dir[] = "/tmp/ptq-lent-XXXXXX", path[80];
    struct lent l, again;
    struct json *j;
    struct err e = {0};
    char *text;

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(lent_find("/nonexistent", &l, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_int_equal(fs_publish(path, "{}", 2, &e), 0);
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    assert_int_equal(fs_publish(path, "{}", 2, &e), 0);
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_int_equal(fs_publish(path, st, sizeof st - 1, &e), 0);
    if (lent_find(dir, &l, &e) < 0)
        fail_msg("%s", e.text);
    assert_int_equal(l.count, 2);
    assert_int_equal(l.bytes, 2 + sizeof st - 1);
    assert_string_equal(l.file[0].name, "config.json");
    assert_string_equal(l.file[1].name, "model.safetensors");
    text = lent_path(dir, &l, 1, NULL);
    assert_string_equal(text, path);
    free(text);
    text = lent_model(&l, "/c", NULL);
    assert_string_equal(text, "/c");
    free(text);
    j = lent_say(&l);
    assert_int_equal(lent_read(j, &again, &e), -1); /* nobody knows the contents yet */
    json_destroy(&j);
    for (size_t i = 0; i < 2; i++)
        snprintf(l.file[i].digest, DIGEST_TEXT, ZEROS);
    j = lent_say(&l);
    assert_int_equal(lent_read(j, &again, &e), 0);
    assert_int_equal(again.bytes, l.bytes);
    json_destroy(&j);
    lent_release(&again);
    lent_release(&l);
    assert_int_equal(fs_remove_tree(dir, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_digest),
        cmocka_unit_test(test_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
