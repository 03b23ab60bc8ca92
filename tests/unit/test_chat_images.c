/* SPDX-License-Identifier: Apache-2.0 */
/* test_chat_images - pictures in conversations: the forms that data sets have, sources, and the
 * texts that take the place of marks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/image/image_source.h"
#include "../../common/jinja/chat_images.h"
#include "../../common/jinja/chat_insert.h"

/* chat and images as JSON (images NULL: none); *out as one line, the sources as another. */
static int taken(const char *chat, const char *images, char **out, char **sources, struct err *e)
{
    struct json *c = json_parse(chat, strlen(chat), "chat", NULL),
                *i = images ? json_parse(images, strlen(images), "images", NULL) : NULL, *s = NULL;
    int rc = chat_images_take(c, i, &s, e);

    *out = json_print(json_get(c, "messages"), 0, NULL);
    *sources = rc == 0 ? json_print(s, 0, NULL) : NULL;
    json_destroy(&s);
    json_destroy(&i);
    json_destroy(&c);
    return rc;
}

static void forms_become_parts(void **state)
{
    static const struct {
        const char *chat, *images, *out, *sources;
    } cases[] = {
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"path\":\"a.png\"},"
         "{\"type\":\"text\",\"text\":\"what\"}]},{\"role\":\"assistant\",\"content\":\"a cat\"}]}",
         NULL,
         "[{\"role\":\"user\",\"content\":[{\"type\":\"image\"},{\"type\":\"text\",\"text\":"
         "\"what\"}]},"
         "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"a cat\"}]}]",
         "[\"a.png\"]"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":"
         "{\"url\":\"file:b.png\"}},{\"type\":\"image\",\"image\":\"c.png\"},"
         "{\"type\":\"image\",\"url\":\"d.png\"}]}]}",
         NULL,
         "[{\"role\":\"user\",\"content\":[{\"type\":\"image\"},{\"type\":\"image\"},"
         "{\"type\":\"image\"}]}]",
         "[\"file:b.png\",\"c.png\",\"d.png\"]"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"<image>\\nWhat?\"},"
         "{\"role\":\"assistant\",\"content\":\"x\"},"
         "{\"role\":\"user\",\"content\":\"And\\n<image>\"}]}",
         "[\"a.png\",{\"path\":\"b.png\"}]",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"image\"},{\"type\":\"text\",\"text\":\"What?"
         "\"}]},"
         "{\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"text\":\"x\"}]},"
         "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"And\"},{\"type\":\"image\"}"
         "]}]",
         "[\"a.png\",\"b.png\"]"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\"},"
         "{\"type\":\"text\",\"text\":\"q\"}]}]}",
         "\"a.png\"",
         "[{\"role\":\"user\",\"content\":[{\"type\":\"image\"},{\"type\":\"text\",\"text\":\"q\"}]"
         "}]",
         "[\"a.png\"]"},
        /* without pictures nothing changes */
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"say <image>\"}]}", NULL,
         "[{\"role\":\"user\",\"content\":\"say <image>\"}]", "[]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out, *sources;
        struct err e = {0};

        assert_int_equal(taken(cases[i].chat, cases[i].images, &out, &sources, &e), 0);
        assert_string_equal(out, cases[i].out);
        assert_string_equal(sources, cases[i].sources);
        free(out);
        free(sources);
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    static const struct {
        const char *chat, *images, *words;
    } cases[] = {
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\"}]}]}", NULL,
         "messages[0]: image 1 of the chat has no source"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"path\":"
         "\"a\\u0000b\"}]}]}",
         NULL, "messages[0]: image 1 of the chat has no source"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"<image><image>\"}]}", "[\"a\"]",
         "image 2 of the chat has no source"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"<image>\"}]}", "[\"a\",\"b\"]",
         "2 images of the line, and only 1"},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"video\",\"path\":\"v\"}]}]}",
         NULL, "\"video\""},
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"path\":\"\"}]}]}",
         NULL, "no source"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out, *sources;
        struct err e = {0};

        assert_int_equal(taken(cases[i].chat, cases[i].images, &out, &sources, &e), -1);
        assert_int_equal(e.kind, ERR_USE);
        if (!strstr(e.text, cases[i].words))
            print_message("%s\n", e.text);
        assert_non_null(strstr(e.text, cases[i].words));
        free(out);
    }
}

static void sources_are_read(void **state)
{
    static const struct {
        const char *source, *beside;
        const char *name; /* NULL: refused with these words */
        const char *words;
    } cases[] = {
        {"rgb.png", "tests/golden/image/x.jsonl", "tests/golden/image/rgb.png", NULL},
        {"tests/golden/image/rgb.png", NULL, "tests/golden/image/rgb.png", NULL},
        {"tests/golden/image/rgb.png", "x.jsonl", "tests/golden/image/rgb.png", NULL},
        {"file:rgb.png", "tests/golden/image/x.jsonl", "tests/golden/image/rgb.png", NULL},
        {"file:%72gb.png", "tests/golden/image/x.jsonl", "tests/golden/image/rgb.png", NULL},
        {"data:image/png;base64,aGVs bG8=", NULL, "data:image/png;base64", NULL},
        {"data:image/png,hello", NULL, NULL, "only data in base 64"},
        {"data:image/png;base64,a*b", NULL, NULL, "no base 64"},
        {"data:image/png;base64,aGVs=bG8", NULL, NULL, "no base 64"},
        {"https://example.org/a.png", NULL, NULL, "not fetched"},
        {"absent.png", "tests/golden/image/x.jsonl", NULL, "tests/golden/image/absent.png"},
        {"file:///dev/null", NULL, NULL, "/dev/null"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct image_bytes b;
        struct err e = {0};
        int rc = image_source_read(cases[i].source, cases[i].beside, &b, &e);

        assert_int_equal(rc, cases[i].name ? 0 : -1);
        if (cases[i].name) {
            assert_string_equal(b.name, cases[i].name);
            assert_true(b.n > 4);
        } else {
            assert_int_equal(e.kind, ERR_USE);
            assert_non_null(strstr(e.text, cases[i].words));
            assert_null(b.data);
        }
        if (i == 5)
            assert_memory_equal(b.data, "hello", 5);
        image_bytes_release(&b);
    }
}

static void texts_take_the_place_of_marks(void **state)
{
    static const char *const texts[] = {"<<i><i>>", "x"};
    const struct chat_insert in = {"<i>", texts, 2};
    char *text = strdup("q: <i> and <i>? a: yes <e>");
    size_t n = strlen(text);
    struct chat_span at[] = {{3, 6}, {19, 22}, {0, 3}};
    struct chat_spans spans = {at, 3, 3};
    struct err e = {0};

    (void)state;
    assert_int_equal(chat_insert(&in, &text, &n, &spans, &e), 0);
    assert_string_equal(text, "q: <<i><i>> and x? a: yes <e>");
    assert_int_equal(n, strlen(text));
    assert_int_equal(at[0].start, 3);
    assert_int_equal(at[0].end, 11);
    assert_int_equal(at[1].start, 22); /* "yes" */
    assert_int_equal(at[1].end, 25);
    assert_int_equal(at[2].end, 3);
    assert_int_equal(chat_insert(&(struct chat_insert){"<i>", texts, 1}, &text, &n, &spans, &e),
                     -1);
    assert_non_null(strstr(e.text, "2 places for images ('<i>'), and the chat 1"));
    assert_string_equal(text, "q: <<i><i>> and x? a: yes <e>");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(forms_become_parts),
        cmocka_unit_test(sources_are_read),
        cmocka_unit_test(texts_take_the_place_of_marks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
