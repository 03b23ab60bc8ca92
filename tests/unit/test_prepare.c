/* SPDX-License-Identifier: Apache-2.0 */
/* test_prepare - pictures for vision-language models, against what transformers makes of them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/base/json.h"
#include "../../common/image/image_file.h"
#include "../../common/image/prepare.h"
#include "../../common/tensor/safetensors.h"
#include "shared.h"

static struct prepare *opened(const char *settings, const char *config, struct err *e)
{
    struct json *j = json_parse(config, strlen(config), "config", e),
                *s = json_parse(settings, strlen(settings), "settings", e);
    struct prepare *p = prepare_parse(s, "settings", j, e);

    json_destroy(&s);
    json_destroy(&j);
    return p;
}

/* ---- settings of published checkpoints ---- */

#define CLIP                                            \
    "\"image_mean\":[0.48145466,0.4578275,0.40821073]," \
    "\"image_std\":[0.26862954,0.26130258,0.27577711]"
#define HALF "\"image_mean\":[0.5,0.5,0.5],\"image_std\":[0.5,0.5,0.5]"
#define QWEN                                                                                 \
    "{\"image_processor_type\":\"Qwen2VLImageProcessor\",\"merge_size\":2,\"temporal_patch_" \
    "size\":2,"
#define ID "{\"image_token_id\":7,"

struct setting {
    const char *name, *settings, *config;
    size_t tokens[3]; /* of the three pictures */
};

static struct setting settings[] = {
    {"llava15",
     "{\"image_processor_type\":\"CLIPImageProcessorFast\",\"size\":{\"shortest_edge\":336},"
     "\"crop_size\":{\"height\":336,\"width\":336},\"resample\":3," CLIP "}",
     ID "\"vision_config\":{\"patch_size\":14}}",
     {576, 576, 576}},
    {"onevision",
     NULL, /* made in pins_write */
     ID "\"vision_config\":{\"patch_size\":14}}",
     {1728, 1701, 1261}},
    {"smolvlm",
     "{\"image_processor_type\":\"SmolVLMImageProcessor\",\"size\":{\"longest_edge\":2048},"
     "\"max_image_size\":{\"longest_edge\":512},\"resample\":1," HALF "}",
     ID "\"scale_factor\":4,\"vision_config\":{\"patch_size\":16}}",
     {13 * 64, 9 * 64, 13 * 64}},
    {"qwen2vl",
     QWEN "\"patch_size\":14,\"min_pixels\":3136,\"max_pixels\":12845056," CLIP "}",
     ID "\"vision_config\":{}}",
     {234, 184, 6}},
    {"qwen2vl-small",
     QWEN "\"patch_size\":14,\"size\":{\"shortest_edge\":3136,\"longest_edge\":50176}," CLIP "}",
     ID "\"vision_config\":{}}",
     {54, 52, 6}},
    {"qwen3vl",
     QWEN "\"patch_size\":16,\"size\":{\"shortest_edge\":65536,\"longest_edge\":16777216}," HALF
          "}",
     ID "\"vision_config\":{}}",
     {192, 140, 70}},
    {"gemma3",
     "{\"image_processor_type\":\"Gemma3ImageProcessor\",\"size\":{\"height\":896,\"width\":896},"
     "\"resample\":2," HALF "}",
     ID "\"mm_tokens_per_image\":256,\"vision_config\":{}}",
     {256, 256, 256}},
};
#define SETTINGS (sizeof settings / sizeof *settings)

static char *pins_write(void)
{
    char *text = malloc(8192);
    size_t n = (size_t)sprintf(
        text, "{\"image_processor_type\":\"LlavaOnevisionImageProcessor\",\"resample\":3," HALF
              ",\"size\":{\"height\":384,\"width\":384},\"image_grid_pinpoints\":[");

    for (int i = 1; i < 7; i++)
        for (int k = 1; k < 7; k++)
            n += (size_t)sprintf(text + n, "%s[%d,%d]", i + k > 2 ? "," : "", 384 * i, 384 * k);
    strcpy(text + n, "]}");
    return text;
}

static struct tensor loaded(struct st_set *s, const char *name, int i, const char *what)
{
    char key[64];
    struct tensor t = {0};

    snprintf(key, sizeof key, "%s.%d.%s", name, i, what);
    assert_non_null(st_find(s, key));
    assert_int_equal(st_load(s, st_find(s, key), &t, NULL), 0);
    return t;
}

/* The golden's 1500 values of each, which must be the same to the last bit. */
static void compare(struct st_set *golden, const struct setting *x, const struct prepare *p, int i)
{
    char name[64];
    const char *path;
    struct image picture;
    struct prepared_shape s;
    struct err e = {0};
    struct tensor index = loaded(golden, x->name, i, "index"),
                  want = loaded(golden, x->name, i, "torchvision"),
                  shape = loaded(golden, x->name, i, "shape");
    size_t total = 1, wrong = 0;
    float *out;

    snprintf(name, sizeof name, "data/conformance/image-prep/images/%d.png", i);
    path = shared_path(name);
    assert_non_null(path);
    assert_int_equal(image_file_open(path, &picture, &e), 0);
    assert_int_equal(prepare_measure(p, picture.width, picture.height, 1, &s, &e), 0);
    assert_int_equal(s.tokens, x->tokens[i]);
    for (int d = 0; d < s.ndim; d++) { /* the golden has a dimension more: the batch */
        assert_int_equal(s.shape[d],
                         ((int64_t *)shape.data)[shape.shape[0] - (uint64_t)s.ndim + (uint64_t)d]);
        total *= s.shape[d];
    }
    out = calloc(total, sizeof *out);
    assert_int_equal(prepare_pixels(p, &picture, &s, out, &e), 0);
    for (size_t k = 0; k < index.shape[0]; k++)
        wrong += out[((int64_t *)index.data)[k]] != ((float *)want.data)[k];
    if (wrong)
        print_message("%s.%d: %zu of %zu values differ\n", x->name, i, wrong,
                      (size_t)index.shape[0]);
    assert_int_equal(wrong, 0);
    free(out);
    image_release(&picture);
    tensor_release(&index);
    tensor_release(&want);
    tensor_release(&shape);
}

static void published_settings_give_the_reference_values(void **state)
{
    shared_or_skip(file, "data/conformance/image-prep/golden.safetensors");
    struct st_set *golden = st_open(file, NULL);
    char *pins = pins_write();

    (void)state;
    settings[1].settings = pins;
    for (size_t k = 0; k < SETTINGS; k++) {
        struct err e = {0};
        struct prepare *p = opened(settings[k].settings, settings[k].config, &e);

        assert_string_equal(e.text, "");
        assert_non_null(p);
        for (int i = 0; i < 3; i++)
            compare(golden, &settings[k], p, i);
        prepare_close(&p);
    }
    free(pins);
    st_close(&golden);
}

/* ---- sizes: of all photographs of coco-mini, and odd ones ---- */

/* What transformers 5.24 makes of them: SmolVLM's tiles (rows, columns), patches of Qwen2-VL and
 * Qwen3-VL (rows, columns; 0: refused), tokens of LLaVA-OneVision. */
static const struct {
    size_t width, height;
    int32_t smolvlm[2], qwen2[2], qwen3[2];
    size_t onevision;
} sizes[] = {
    {383, 640, {4, 3}, {46, 28}, {40, 24}, 2017},
    {426, 640, {4, 3}, {46, 30}, {40, 26}, 2727},
    {427, 640, {4, 3}, {46, 30}, {40, 26}, 2727},
    {480, 640, {4, 3}, {46, 34}, {40, 30}, 2943},
    {500, 333, {3, 4}, {24, 36}, {20, 32}, 1836},
    {500, 375, {3, 4}, {26, 36}, {24, 32}, 1728},
    {500, 377, {4, 4}, {26, 36}, {24, 32}, 1728},
    {500, 406, {4, 4}, {28, 36}, {26, 32}, 3149},
    {612, 612, {4, 4}, {44, 44}, {38, 38}, 3699},
    {621, 640, {4, 4}, {46, 44}, {40, 38}, 3591},
    {640, 382, {3, 4}, {28, 46}, {24, 40}, 1998},
    {640, 383, {3, 4}, {28, 46}, {24, 40}, 1998},
    {640, 393, {3, 4}, {28, 46}, {24, 40}, 2599},
    {640, 406, {3, 4}, {28, 46}, {26, 40}, 2599},
    {640, 408, {3, 4}, {30, 46}, {26, 40}, 2599},
    {640, 414, {3, 4}, {30, 46}, {26, 40}, 2599},
    {640, 422, {3, 4}, {30, 46}, {26, 40}, 2709},
    {640, 423, {3, 4}, {30, 46}, {26, 40}, 2709},
    {640, 424, {3, 4}, {30, 46}, {26, 40}, 2709},
    {640, 425, {3, 4}, {30, 46}, {26, 40}, 2709},
    {640, 426, {3, 4}, {30, 46}, {26, 40}, 2709},
    {640, 427, {3, 4}, {30, 46}, {26, 40}, 2709},
    {640, 428, {3, 4}, {30, 46}, {26, 40}, 2709},
    {640, 461, {3, 4}, {32, 46}, {28, 40}, 2819},
    {640, 478, {3, 4}, {34, 46}, {30, 40}, 2929},
    {640, 480, {3, 4}, {34, 46}, {30, 40}, 2929},
    {640, 506, {4, 4}, {36, 46}, {32, 40}, 3039},
    {640, 522, {4, 4}, {38, 46}, {32, 40}, 3149},
    {640, 559, {4, 4}, {40, 46}, {34, 40}, 3369},
    {1, 1, {4, 4}, {4, 4}, {16, 16}, 1485},
    {3, 2, {3, 4}, {4, 6}, {14, 20}, 1261},
    {199, 1, {1, 4}, {2, 58}, {2, 226}, 757},
    {1999, 10, {1, 4}, {2, 58}, {2, 228}, 892},
    {336, 337, {4, 4}, {24, 24}, {22, 20}, 1485},
    {4000, 3000, {3, 4}, {214, 286}, {188, 250}, 7309},
    {3000, 4000, {4, 3}, {286, 214}, {250, 188}, 7332},
    {16384, 4096, {1, 4}, {128, 512}, {128, 512}, 7249},
    {5000, 30, {1, 4}, {2, 358}, {2, 312}, 892},
    {31, 5001, {4, 1}, {358, 2}, {312, 2}, 1053},
    {28, 27, {4, 4}, {4, 6}, {16, 18}, 1485},
    {42, 14, {2, 4}, {4, 8}, {10, 28}, 981},
    {70, 98, {4, 3}, {8, 4}, {20, 14}, 1269},
};

static void grid_check(const struct prepare *p, size_t i, const int32_t want[2])
{
    struct prepared_shape s;
    struct err e = {0};

    assert_int_equal(prepare_measure(p, sizes[i].width, sizes[i].height, 1, &s, &e),
                     want[0] ? 0 : -1);
    if (!want[0])
        return;
    if (s.grid[1] != want[0] || s.grid[2] != want[1])
        print_message("%zu x %zu: %d x %d, not %d x %d\n", sizes[i].width, sizes[i].height,
                      s.grid[1], s.grid[2], want[0], want[1]);
    assert_int_equal(s.grid[1], want[0]);
    assert_int_equal(s.grid[2], want[1]);
}

static void sizes_are_those_of_the_reference(void **state)
{
    char *pins = pins_write();
    struct err e = {0};
    struct prepare *smolvlm = opened(settings[2].settings, settings[2].config, &e),
                   *qwen2 = opened(settings[3].settings, settings[3].config, &e),
                   *qwen3 = opened(settings[5].settings, settings[5].config, &e),
                   *onevision = opened(pins, settings[1].config, &e);
    struct prepared_shape s;

    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        grid_check(smolvlm, i, sizes[i].smolvlm);
        grid_check(qwen2, i, sizes[i].qwen2);
        grid_check(qwen3, i, sizes[i].qwen3);
        assert_int_equal(prepare_measure(onevision, sizes[i].width, sizes[i].height, 1, &s, &e), 0);
        assert_int_equal(s.tokens, sizes[i].onevision);
    }
    prepare_close(&smolvlm);
    prepare_close(&qwen2);
    prepare_close(&qwen3);
    prepare_close(&onevision);
    free(pins);
}

/* ---- the conformance models: every value, every token ---- */

/* A .safetensors that holds tensors of five dimensions, which the product's reader has no use
 * for: the bytes of one of them. */
struct golden {
    char *bytes;
    size_t head; /* of the header, with its length */
    struct json *names;
};

static struct golden golden_open(const char *path)
{
    struct golden g = {0};
    uint64_t n;
    size_t length;

    g.bytes = fs_read(path, 1 << 26, &length, NULL);
    assert_non_null(g.bytes);
    memcpy(&n, g.bytes, sizeof n);
    g.head = (size_t)n + sizeof n;
    g.names = json_parse(g.bytes + sizeof n, (size_t)n, path, NULL);
    assert_non_null(g.names);
    return g;
}

static const void *sequence(const struct golden *g, const char *what, int i, size_t size, size_t *n)
{
    char key[64];
    const struct json *place;
    int64_t from, to;

    snprintf(key, sizeof key, "%s.%d", what, i);
    place = json_get(json_get(g->names, key), "data_offsets");
    assert_int_equal(json_as_int(json_at(place, 0), &from), 0);
    assert_int_equal(json_as_int(json_at(place, 1), &to), 0);
    *n = (size_t)(to - from) / size;
    return g->bytes + g->head + from;
}

/* Picture k of n in a sequence; its values follow those at *at, which moves on. */
static size_t picture_compare(const struct prepare *p, const char *model, int64_t number, size_t n,
                              const float **at)
{
    char path[1200];
    struct image x;
    struct prepared_shape s;
    struct err e = {0};
    size_t total = 1;
    float *out;

    snprintf(path, sizeof path, "%s/images/%d.png", model, (int)number);
    assert_int_equal(image_file_open(path, &x, &e), 0);
    assert_int_equal(prepare_measure(p, x.width, x.height, n, &s, &e), 0);
    assert_int_equal(s.size[0], x.height);
    assert_int_equal(s.size[1], x.width);
    for (int d = 0; d < s.ndim; d++)
        total *= s.shape[d];
    out = calloc(total, sizeof *out);
    assert_int_equal(prepare_pixels(p, &x, &s, out, &e), 0);
    assert_memory_equal(out, *at, total * sizeof *out);
    *at += total;
    free(out);
    image_release(&x);
    return s.tokens;
}

static void conformance_models_get_the_reference_values(void **state)
{
    static const char *const models[] = {"idefics3", "smolvlm",    "llava",    "llava_onevision",
                                         "qwen2_vl", "qwen2_5_vl", "qwen3_vl", "gemma3-vision"};

    (void)state;
    shared_or_skip(root, "data/conformance/README.txt");
    for (size_t m = 0; m < sizeof models / sizeof *models; m++) {
        char model[1100], path[1200];
        struct err e = {0};
        struct golden golden;
        struct json *config;
        struct prepare *p;

        snprintf(model, sizeof model, "%.*s%s", (int)(strlen(root) - strlen("README.txt")), root,
                 models[m]);
        snprintf(path, sizeof path, "%s/config.json", model);
        config = json_read(path, &e);
        p = prepare_open(model, config, &e);
        assert_string_equal(e.text, "");
        assert_true(prepare_wanted(config));
        snprintf(path, sizeof path, "%s/golden.safetensors", model);
        golden = golden_open(path);
        for (int i = 0; i < 2; i++) {
            size_t values, used, places, ids, tokens = 0;
            const float *pixels = sequence(&golden, "pixel_values", i, 4, &values), *at = pixels;
            const int64_t *use = sequence(&golden, "images", i, 8, &used),
                          *place = sequence(&golden, "image_positions", i, 8, &places),
                          *id = sequence(&golden, "input_ids", i, 8, &ids);

            for (size_t k = 0; k < used; k++)
                tokens += picture_compare(p, model, use[k], used, &at);
            assert_int_equal(at - pixels, values);
            assert_int_equal(tokens, places);
            assert_int_equal(id[place[0]], prepare_token(p));
        }
        free(golden.bytes);
        json_destroy(&golden.names);
        prepare_close(&p);
        json_destroy(&config);
    }
}

/* The values that the reference of another library gives: at most 1e-3 apart in the mean square,
 * as its own test asks. */
static void a_photograph_is_near_another_reference(void **state)
{
    struct err e = {0};
    struct image x;
    struct prepared_shape s;
    struct prepare *p = opened(QWEN "\"patch_size\":14,\"min_pixels\":3136,"
                                    "\"max_pixels\":12845056," CLIP "}",
                               ID "\"vision_config\":{}}", &e);
    double square = 0, want;
    size_t n = 0;
    float *out;
    FILE *f;

    (void)state;
    shared_or_skip(photo, "data/golden-qwen25vl-image/australia.jpg");
    shared_or_skip(values, "data/golden-qwen25vl-image/pixel_values_reference.txt");
    assert_int_equal(image_file_open(photo, &x, &e), 0);
    assert_int_equal(prepare_measure(p, x.width, x.height, 1, &s, &e), 0);
    out = calloc(s.shape[0] * s.shape[1], sizeof *out);
    assert_int_equal(prepare_pixels(p, &x, &s, out, &e), 0);
    f = fopen(values, "r");
    for (; fscanf(f, "%lf", &want) == 1; n++)
        square += (out[n] - want) * (out[n] - want);
    fclose(f);
    assert_int_equal(n, 1000);
    assert_true(square / (double)n < 1e-3);
    free(out);
    image_release(&x);
    prepare_close(&p);
}

/* ---- what is refused, and what stands in the text ---- */

static void wrong_settings_are_refused_by_name(void **state)
{
    static const struct {
        const char *settings, *config, *words;
    } cases[] = {
        {"{}", ID "\"vision_config\":{}}", "'', which is not known"},
        {"{\"image_processor_type\":\"CLIPImageProcessorX\"}", ID "\"vision_config\":{}}",
         "'CLIPImageProcessorX', which is not known"},
        {QWEN "\"patch_size\":0}", ID "\"vision_config\":{}}", "\"patch_size\""},
        {QWEN "\"patch_size\":14}", ID "\"vision_config\":{}}", "\"size.min_pixels\""},
        {QWEN "\"patch_size\":14}", "{\"vision_config\":{}}", "\"image_token_id\""},
        {QWEN "\"resample\":0}", ID "\"vision_config\":{}}", "\"resample\" 0"},
        {QWEN "\"do_resize\":false}", ID "\"vision_config\":{}}", "\"do_resize\""},
        {QWEN "\"image_std\":[1,0,1]}", ID "\"vision_config\":{}}", "\"image_std\""},
        {QWEN "\"rescale_factor\":255}", ID "\"vision_config\":{}}", "\"rescale_factor\" 255"},
        {QWEN "\"image_std\":[1,1,1e-30]}", ID "\"vision_config\":{}}", "\"image_std\" 1e-30"},
        {QWEN "\"image_mean\":[1,1]}", ID "\"vision_config\":{}}", "\"image_mean\""},
        {"{\"image_processor_type\":\"CLIPImageProcessor\",\"size\":{\"shortest_edge\":9},"
         "\"do_center_crop\":false}",
         ID "\"vision_config\":{\"patch_size\":3}}", "\"do_center_crop\""},
        {"{\"image_processor_type\":\"LlavaOnevisionImageProcessor\",\"size\":{\"height\":32,"
         "\"width\":32},\"image_grid_pinpoints\":[[32,33]]}",
         ID "\"vision_config\":{\"patch_size\":8}}", "\"image_grid_pinpoints\""},
        {"{\"image_processor_type\":\"Idefics3ImageProcessor\",\"size\":{\"longest_edge\":64},"
         "\"max_image_size\":{\"longest_edge\":32}}",
         ID "\"vision_config\":{\"patch_size\":8}}", "\"scale_factor\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};

        assert_null(opened(cases[i].settings, cases[i].config, &e));
        assert_int_equal(e.kind, ERR_USE);
        if (!strstr(e.text, cases[i].words))
            print_message("%s\n", e.text);
        assert_non_null(strstr(e.text, cases[i].words));
    }
}

static void a_folder_without_settings_is_refused(void **state)
{
    struct err e = {0};

    (void)state;
    assert_null(prepare_open("tests/golden/image", NULL, &e));
    assert_non_null(strstr(e.text, "preprocessor_config.json"));
}

static void a_strip_is_refused(void **state)
{
    struct err e = {0};
    struct prepared_shape s;
    struct prepare *p = opened(settings[3].settings, settings[3].config, &e);

    (void)state;
    assert_int_equal(prepare_measure(p, 4001, 20, 1, &s, &e), -1);
    assert_non_null(strstr(e.text, "4001 x 20"));
    prepare_close(&p);
    p = opened(settings[0].settings, settings[0].config, &e);
    assert_int_equal(prepare_measure(p, 16000, 20, 1, &s, &e), -1); /* 336 x 268800 */
    prepare_close(&p);
}

static void the_text_holds_the_tokens(void **state)
{
    struct err e = {0};
    struct prepared_shape s;
    struct prepare *p = opened("{\"image_processor_type\":\"SmolVLMImageProcessor\","
                               "\"size\":{\"longest_edge\":64},\"resample\":1,"
                               "\"max_image_size\":{\"longest_edge\":32}}",
                               ID "\"scale_factor\":4,\"vision_config\":{\"patch_size\":8}}", &e);
    char *text;

    (void)state;
    assert_int_equal(prepare_measure(p, 30, 64, 1, &s, &e), 0);
    text = prepare_text(p, &s, &e);
    assert_string_equal(text, "<fake_token_around_image><row_1_col_1><image>\n"
                              "<fake_token_around_image><row_2_col_1><image>\n"
                              "\n<fake_token_around_image><global-img><image>"
                              "<fake_token_around_image>");
    assert_int_equal(s.tokens, 3);
    assert_string_equal(prepare_mark(p), "<image>");
    free(text);
    prepare_close(&p);
    p = opened("{\"image_processor_type\":\"Gemma3ImageProcessor\",\"do_pan_and_scan\":true,"
               "\"pan_and_scan_min_crop_size\":16,\"size\":{\"height\":8,\"width\":8}}",
               ID "\"mm_tokens_per_image\":2}", &e);
    assert_int_equal(prepare_measure(p, 60, 30, 1, &s, &e), 0);
    text = prepare_text(p, &s, &e);
    assert_string_equal(
        text, "Here is the original image \n\n<start_of_image><image_soft_token><image_soft_token>"
              "<end_of_image>\n\n and here are some crops to help you see better "
              "\n\n<start_of_image><image_soft_token><image_soft_token><end_of_image>\n\n "
              "\n\n<start_of_image><image_soft_token><image_soft_token><end_of_image>\n\n");
    assert_int_equal(s.tokens, 6);
    assert_int_equal(s.grid[1], 1);
    assert_int_equal(s.grid[2], 2);
    free(text);
    prepare_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_settings_are_refused_by_name),
        cmocka_unit_test(a_folder_without_settings_is_refused),
        cmocka_unit_test(a_strip_is_refused),
        cmocka_unit_test(the_text_holds_the_tokens),
        cmocka_unit_test(sizes_are_those_of_the_reference),
        cmocka_unit_test(published_settings_give_the_reference_values),
        cmocka_unit_test(conformance_models_get_the_reference_values),
        cmocka_unit_test(a_photograph_is_near_another_reference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
