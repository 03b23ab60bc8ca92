/* SPDX-License-Identifier: Apache-2.0 */
/* test_sample_images - chats with images as chunks: a small model whose tokens are letters, and
 * the trained one whose rows are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/tensor/safetensors.h"
#include "../../common/wire/msg_chunk.h"
#include "../../stages/sample/sample_opts.h"
#include "shared.h"

static char dir[] = "/tmp/ptq-images-XXXXXX";

static void write_file(const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(fs_publish(path, text, strlen(text), NULL), 0);
}

static void copy_file(const char *from, const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(fs_copy(from, path, NULL), 0);
}

/* a is 1 ... z is 26; <image> 27, <fake_token_around_image> 28, <global-img> 29; tiles 8 x 8 of
 * four tokens. */
static int model_make(void **state)
{
    char vocab[1024] = "{\"added_tokens\":[{\"id\":27,\"content\":\"<image>\",\"special\":true},"
                       "{\"id\":28,\"content\":\"<fake_token_around_image>\",\"special\":true},"
                       "{\"id\":29,\"content\":\"<global-img>\",\"special\":true}],"
                       "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"?\":0";
    size_t n = strlen(vocab);

    (void)state;
    if (!mkdtemp(dir))
        return -1;
    for (char c = 'a'; c <= 'z'; c++)
        n += (size_t)sprintf(vocab + n, ",\"%c\":%d", c, c - 'a' + 1);
    strcpy(vocab + n, "}}}");
    write_file("tokenizer.json", vocab);
    write_file("tokenizer_config.json", "{}");
    write_file("chat_template.jinja",
               "{% for m in messages %}{{ m.role[0] }}{% for p in m.content %}{% if p.type == "
               "'image' %}<image>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endfor %}");
    write_file("preprocessor_config.json",
               "{\"image_processor_type\":\"Idefics3ImageProcessor\",\"do_image_splitting\":false,"
               "\"size\":{\"longest_edge\":8},\"max_image_size\":{\"longest_edge\":8},"
               "\"resample\":1,\"image_mean\":[0.5,0.5,0.5],\"image_std\":[0.5,0.5,0.5]}");
    write_file("config.json",
               "{\"architectures\":[\"Idefics3ForConditionalGeneration\"],\"model_type\":"
               "\"idefics3\",\"image_token_id\":27,\"scale_factor\":2,\"text_config\":{"
               "\"model_type\":\"llama\",\"hidden_size\":8,\"num_hidden_layers\":2,"
               "\"num_attention_heads\":1,\"num_key_value_heads\":1,\"intermediate_size\":8,"
               "\"vocab_size\":30,\"max_position_embeddings\":32,\"rms_norm_eps\":1e-5,"
               "\"rope_theta\":10000.0,\"hidden_act\":\"silu\"},\"vision_config\":{"
               "\"hidden_size\":8,\"image_size\":8,\"patch_size\":2,\"num_attention_heads\":1,"
               "\"num_hidden_layers\":1,\"intermediate_size\":8}}");
    copy_file("tests/golden/image/rgb.png", "a.png");
    copy_file("tests/golden/image/grey.png", "b.png");
    copy_file("tests/golden/image/short.png", "short.png");
    return 0;
}

static int model_remove(void **state)
{
    (void)state;
    return fs_remove_tree(dir, NULL);
}

static struct sample_opts options(const char *const *data)
{
    struct sample_opts o = sample_opts_default();

    o.model = dir;
    o.data = data;
    o.ndata = 1;
    o.tokens = 0;
    o.mode_auto = 1;
    return o;
}

/* The one chunk of these lines; NULL: *e. */
static struct msg *chunk_of(const char *lines, struct sample_opts *o, struct err *e)
{
    char path[128];
    const char *data[1] = {path};
    struct sample_opts own = options(data);
    struct sample *s;
    struct msg *m = NULL;

    snprintf(path, sizeof path, "%s/data.jsonl", dir);
    write_file("data.jsonl", lines);
    if (o) {
        o->data = data;
        own = *o;
    }
    if ((s = sample_open(&own, e))) {
        assert_int_equal(sample_chunks(s), 1);
        m = sample_chunk(s, 0, e);
    }
    sample_close(&s);
    return m;
}

#define USER(parts) "{\"role\":\"user\",\"content\":[" parts "]}"
#define LINE(messages) "{\"messages\":[" messages "]}\n"
#define IMAGE(path) "{\"type\":\"image\",\"path\":\"" path "\"}"
#define TEXT(text) "{\"type\":\"text\",\"text\":\"" text "\"}"

static void chats_become_rows_with_their_images(void **state)
{
    static const int32_t ids[] = {21, 28, 29, 27, 27, 27, 27, 28, 24, /* u, image a, x */
                                  1,  25,                             /* a y */
                                  21, 28, 29, 27, 27, 27, 27, 28, 28,
                                  29, 27, 27, 27, 27, 28, 21, 26}; /* u z */
    static const int32_t of[] = {-1, -1, -1, 0, 0,  0,  0,  -1, -1, -1, -1, -1, -1, -1,
                                 1,  1,  1,  1, -1, -1, -1, 2,  2,  2,  2,  -1, -1, -1};
    struct err e = {0};
    struct chunk_view v;
    struct msg *m = chunk_of(
        LINE(USER(IMAGE("a.png") "," TEXT("x")) ","
                                                "{\"role\":\"assistant\",\"content\":\"y\"}")
            LINE(USER(IMAGE("b.png") "," IMAGE("a.png"))) LINE(USER(TEXT("z"))),
        NULL, &e);

    (void)state;
    assert_string_equal(e.text, "");
    assert_int_equal(chunk_read(m, &v, &e), 0);
    assert_int_equal(v.T, sizeof ids / sizeof *ids);
    assert_memory_equal(v.ids, ids, sizeof ids);
    assert_int_equal(v.nseq, 3);
    assert_int_equal(v.lengths[0], 11);
    assert_int_equal(v.lengths[2], 2);
    assert_memory_equal(v.images.of, of, sizeof of);
    assert_int_equal(v.images.n, 3);
    assert_int_equal(v.images.pixels->shape[0], 3);
    assert_int_equal(v.images.pixels->shape[3], 8);
    assert_int_equal(v.images.size[0], 24);
    assert_int_equal(v.images.size[1], 37);
    assert_true(v.images.digest[0] == v.images.digest[2]);
    assert_true(v.images.digest[0] != v.images.digest[1]);
    assert_memory_equal(v.images.pixels->data, (const float *)v.images.pixels->data + 2 * 3 * 64,
                        3 * 64 * sizeof(float));
    assert_memory_not_equal(v.images.pixels->data, (const float *)v.images.pixels->data + 3 * 64,
                            3 * 64 * sizeof(float));
    msg_destroy(&m);
}

/* The same words about another picture are another document. */
static void duplicates_have_the_same_images(void **state)
{
    struct err e = {0};
    struct chunk_view v;
    int64_t n = -1;
    struct msg *m = chunk_of(
        LINE(USER(IMAGE("a.png"))) LINE(USER(IMAGE("b.png"))) LINE(USER(IMAGE("a.png"))), NULL, &e);

    (void)state;
    assert_int_equal(chunk_read(m, &v, &e), 0);
    json_as_int(json_get(json_get(json_at(v.prov, 0), "audit"), "duplicates"), &n);
    assert_int_equal(n, 1);
    msg_destroy(&m);
}

static void llava_lines_are_read(void **state)
{
    struct err e = {0};
    struct chunk_view v;
    struct msg *m = chunk_of("{\"image\":\"a.png\",\"conversations\":[{\"from\":\"human\","
                             "\"value\":\"<image>\\nx\"},{\"from\":\"gpt\",\"value\":\"y\"}]}\n",
                             NULL, &e);

    (void)state;
    assert_string_equal(e.text, "");
    assert_int_equal(chunk_read(m, &v, &e), 0);
    assert_int_equal(v.images.n, 1);
    assert_int_equal(v.T, 11);
    msg_destroy(&m);
}

static void refused(const char *lines, struct sample_opts *o, const char *words)
{
    struct err e = {0};
    struct msg *m = chunk_of(lines, o, &e);

    assert_null(m);
    if (!strstr(e.text, words))
        print_message("%s\n", e.text);
    assert_non_null(strstr(e.text, words));
}

static void bad_images_are_refused_or_counted(void **state)
{
    static const char *const data[1] = {""};
    const char *lines = LINE(USER(IMAGE("a.png"))) LINE(USER(IMAGE("short.png")))
        LINE(USER(IMAGE("absent.png"))) LINE(USER(TEXT("z")));
    struct sample_opts o = options(data);
    struct err e = {0};
    struct chunk_view v;
    struct msg *m;

    (void)state;
    refused(lines, &o, "short.png: PNG: Not enough image data");
    refused(lines, &o, "--bad-images skip");
    refused(lines, &o, "data.jsonl:2");
    refused(LINE(USER(IMAGE("absent.png"))), &o, "absent.png");
    refused(LINE(USER(IMAGE("http://x/a.png"))), &o, "not fetched");
    o.bad_images = SAMPLE_IMAGES_SKIP;
    m = chunk_of(lines, &o, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(chunk_read(m, &v, &e), 0);
    assert_int_equal(v.nseq, 2);
    {
        const struct json *record = json_at(v.prov, 0), *audit = json_get(record, "audit");
        int64_t n;

        assert_int_equal(json_as_int(json_get(audit, "images_bad"), &n), 0);
        assert_int_equal(n, 2);
        assert_int_equal(json_as_int(json_get(audit, "images"), &n), 0);
        assert_int_equal(n, 1);
        assert_string_equal(json_as_text(json_get(record, "bad_images")), "skip");
        assert_string_equal(json_as_text(json_get(record, "mode")), "whole");
    }
    msg_destroy(&m);
    refused(LINE(USER(IMAGE("short.png"))), &o, "1 left out because of an image");
}

static void images_are_not_cut(void **state)
{
    static const char *const data[1] = {""};
    struct sample_opts o = options(data);

    (void)state;
    o.mode_auto = 0;
    o.length = 4;
    for (int mode = SAMPLE_CONCAT; mode < SAMPLE_WHOLE; mode++) {
        o.mode = (enum sample_mode)mode;
        refused(LINE(USER(IMAGE("a.png"))), &o, "say --mode whole");
    }
    o.mode = SAMPLE_WHOLE;
    o.longest = 7;
    refused(LINE(USER(IMAGE("a.png"))), &o, "1 of them longer than 7 tokens");
}

static void places_and_images_must_agree(void **state)
{
    (void)state;
    refused(LINE(USER(IMAGE("a.png") "," TEXT("<image>"))), NULL,
            "2 places for images ('<image>'), and the chat 1");
    refused("{\"images\":[\"a.png\",\"b.png\"],\"messages\":[{\"role\":\"user\",\"content\":"
            "\"<image>\"}]}\n",
            NULL, "2 images of the line, and only 1");
}

static void whole_rows_fill_the_budget_in_order(void **state)
{
    static const char *const data[1] = {""};
    struct sample_opts o = options(data);
    struct err e = {0};
    struct chunk_view v;
    struct msg *m;

    (void)state;
    o.mode = SAMPLE_WHOLE;
    o.tokens = 7;
    m = chunk_of("{\"text\":\"abc\"}\n{\"text\":\"de\"}\n{\"text\":\"fghi\"}\n{\"text\":\"j\"}\n",
                 &o, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(chunk_read(m, &v, &e), 0);
    assert_int_equal(v.nseq, 2); /* the third has no room, and what follows is not looked at */
    assert_int_equal(v.lengths[0], 3);
    assert_int_equal(v.lengths[1], 2);
    assert_int_equal(v.images.n, 0);
    msg_destroy(&m);
}

/* Models without a tokenizer: ids that hold the image tokens already. */
static void ids_may_have_images(void **state)
{
    struct err e = {0};
    struct chunk_view v;
    struct msg *m = chunk_of("{\"input_ids\":[1,27,27,27,27,2,27,27,27,27],"
                             "\"images\":[\"a.png\",\"b.png\"]}\n",
                             NULL, &e);

    (void)state;
    assert_string_equal(e.text, "");
    assert_int_equal(chunk_read(m, &v, &e), 0);
    assert_int_equal(v.images.n, 2);
    assert_int_equal(v.images.of[4], 0);
    assert_int_equal(v.images.of[6], 1);
    msg_destroy(&m);
    refused("{\"input_ids\":[1,27,27,27,2],\"image\":\"a.png\"}\n", NULL,
            "3 image tokens (id 27) for 4");
    refused("{\"input_ids\":[27,27,27,27],\"image\":\"short.png\"}\n", NULL, "--bad-images skip");
}

/* ---- the trained model: rows as its processor makes them ---- */

static void known_rows_come_out(void **state)
{
    static const int rows[] = {0, 3, 4, 5};
    char lines[8192] = "", *text, *folder;
    const char *data[1];
    struct sample_opts o = options(data);
    struct st_set *golden;
    struct err e = {0};
    struct chunk_view v;
    struct msg *m;
    size_t n, used = 0, at = 0;
    const char *line;
    int row = 0, next = 0;

    (void)state;
    shared_or_skip(model, "data/shapes-vlm/config.json");
    shared_or_skip(eval, "data/shapes-vlm/eval/eval.jsonl");
    shared_or_skip(file, "data/shapes-vlm/golden.safetensors");
    folder = realpath(eval, NULL); /* the lines lie elsewhere */
    assert_non_null(folder);
    text = fs_read(eval, 1 << 20, &n, &e);
    for (line = strtok(text, "\n"); line && next < 4; line = strtok(NULL, "\n"), row++) {
        struct json *j;

        if (row != rows[next])
            continue;
        next++;
        j = json_parse(line, strlen(line), "eval", &e);
        used += (size_t)snprintf(
            lines + used, sizeof lines - used,
            LINE(USER("{\"type\":\"image\",\"path\":\"%.*s/%s\"}," TEXT(
                "%s")) ",{\"role\":\"assistant\",\"content\":[" TEXT("%s") "]}"),
            (int)(strlen(folder) - strlen("/eval.jsonl")), folder,
            json_as_text(json_get(j, "image")), json_as_text(json_get(j, "question")),
            json_as_text(json_get(j, "answer")));
        json_destroy(&j);
    }
    free(folder);
    free(text);
    text = strndup(model, strlen(model) - strlen("/config.json"));
    o.model = text;
    m = chunk_of(lines, &o, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(chunk_read(m, &v, &e), 0);
    assert_int_equal(v.nseq, 4);
    golden = st_open(file, &e);
    for (int s = 0; s < 4; s++) {
        char key[32];
        struct tensor ids, pixels;

        snprintf(key, sizeof key, "input_ids.%d", s);
        assert_int_equal(st_load(golden, st_find(golden, key), &ids, &e), 0);
        snprintf(key, sizeof key, "pixel_values.%d", s);
        assert_int_equal(st_load(golden, st_find(golden, key), &pixels, &e), 0);
        assert_true(ids.shape[0] <= (uint64_t)v.lengths[s]); /* ours has the end of the turn, too */
        for (size_t t = 0; t < ids.shape[0]; t++) {
            assert_int_equal(v.ids[at + t], ((int64_t *)ids.data)[t]);
            assert_int_equal(v.modality[at + t], v.ids[at + t] == 1021);
        }
        assert_memory_equal(pixels.data,
                            (const float *)v.images.pixels->data + (size_t)s * 3 * 64 * 64,
                            pixels.bytes);
        at += (size_t)v.lengths[s];
        tensor_release(&ids);
        tensor_release(&pixels);
    }
    st_close(&golden);
    free(text);
    msg_destroy(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_and_images_must_agree),
        cmocka_unit_test(bad_images_are_refused_or_counted),
        cmocka_unit_test(images_are_not_cut),
        cmocka_unit_test(chats_become_rows_with_their_images),
        cmocka_unit_test(duplicates_have_the_same_images),
        cmocka_unit_test(llava_lines_are_read),
        cmocka_unit_test(ids_may_have_images),
        cmocka_unit_test(whole_rows_fill_the_budget_in_order),
        cmocka_unit_test(known_rows_come_out),
    };

    return cmocka_run_group_tests(tests, model_make, model_remove);
}
