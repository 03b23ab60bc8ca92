/* SPDX-License-Identifier: Apache-2.0 */
/* import_pre: what is offered for a file that does not say how it cuts text; every known way to
 * cut compiles, and cuts texts as the tokenizers of Hugging Face do (tests/golden/pre). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/text/tokenizer.h"
#include "../../common/text/tokenizer_parts.h"
#include "../../common/text/gguf_tokenizer.h"

/* The message offers what the vocabulary looks like. */
static void pre_hints(void **state)
{
    static const struct {
        const char *token, *text;
        size_t count;
    } cases[] = {{"<|begin_of_text|>", "--pre llama-bpe", 128256},
                 {"<|im_start|>", "--pre qwen2", 151936},
                 {"<|endoftext|>", "--pre gpt-2", 50257},
                 {"<|begin_of_text|>", "ptq-import(1)", 2000},
                 {"<|other|>", "ptq-import(1)", 128256}};
    char path[] = "m.gguf";

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json *tokens = json_new_array();
        struct gguf g = {.path = path, .meta = json_new_object()};
        struct err e = {0};

        for (size_t k = 0; k + 1 < cases[i].count; k++)
            assert_int_equal(json_push(tokens, json_new_text("x")), 0);
        assert_int_equal(json_push(tokens, json_new_text(cases[i].token)), 0);
        assert_int_equal(json_set(g.meta, "tokenizer.ggml.tokens", tokens), 0);
        assert_null(gguf_pre_read(&g, NULL, &e));
        assert_non_null(strstr(e.text, cases[i].text));
        json_destroy(&g.meta);
    }
}

/* A name that was mistyped is near one that there is. */
static void near_names(void **state)
{
    char path[] = "m.gguf";
    struct gguf g = {.path = path};
    struct err e = {0};

    (void)state;
    assert_null(gguf_pre_read(&g, "gpt2", &e));
    assert_non_null(strstr(e.text, "no such pre-tokenizer (near it is gpt-2)"));
    assert_null(gguf_pre_read(&g, "something-else", &e));
    assert_null(strstr(e.text, "near it"));
}

/* Texts cut by the tokenizers of Hugging Face, with the models' own patterns. */
static void pre_cuts(void **state)
{
    struct err e = {0};
    struct json *all = json_read("tests/golden/pre/cuts.json", &e);
    const struct json *texts = json_get(all, "texts");
    const struct pre_name *p;
    size_t seen = 0;

    (void)state;
    assert_non_null(all);
    for (size_t k = 0; (p = pre_name_at(k)); k++) {
        const struct json *want = json_get(json_get(all, "cuts"), p->name);
        struct json *cut = pre_name_cut(p);
        struct tokenizer *t = calloc(1, sizeof *t);
        int bytes = 0;

        assert_int_equal(pre_parse(t, cut, &bytes, p->name, &e), 0);
        assert_true(bytes);
        seen += want != NULL;
        for (size_t i = 0; want && i < json_count(texts); i++) {
            const struct json *lengths = json_at(want, i);
            const char *text = json_as_text(json_at(texts, i));
            struct pieces x = {0};
            size_t n = strlen(text);
            int64_t v = 0;

            assert_int_equal(text_copy(&x.text, text, n, &e), 0);
            assert_int_equal(pieces_push(&x, 0, n, &e), 0);
            assert_int_equal(text_split(t, &x, 1, &e), 0);
            for (size_t m = 0; m < x.count && m < json_count(lengths); m++)
                if (json_as_int(json_at(lengths, m), &v) != 0 ||
                    x.span[m].end - x.span[m].start != (size_t)v)
                    fail_msg("%s, text %zu, piece %zu: %zu bytes, not %lld", p->name, i, m,
                             x.span[m].end - x.span[m].start, (long long)v);
            assert_int_equal(x.count, json_count(lengths));
            pieces_release(&x);
        }
        json_destroy(&cut);
        tokenizer_close(&t);
    }
    assert_int_equal(seen, json_count(json_get(all, "cuts")));
    json_destroy(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pre_hints),
        cmocka_unit_test(near_names),
        cmocka_unit_test(pre_cuts),
    };

    return cmocka_run_group_tests_name("import_pre", tests, NULL, NULL);
}
