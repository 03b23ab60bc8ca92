/* SPDX-License-Identifier: Apache-2.0 */
/* AWQ: the words of AutoAWQ's packer (tests/golden/pack), read and written; what must be
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/format/packed.h"

enum { N = 32, K = 128 };

static struct st_set *goldens;

static int goldens_open(void **state)
{
    (void)state;
    goldens = st_open("tests/golden/pack/awq.safetensors", &(struct err){0});
    return goldens ? 0 : -1;
}

static int goldens_close(void **state)
{
    (void)state;
    st_close(&goldens);
    return 0;
}

static void *loaded(const char *name, struct tensor *t)
{
    const struct st_entry *x = st_find(goldens, name);

    assert_non_null(x);
    assert_int_equal(st_load(goldens, x, t, &(struct err){0}), 0);
    return t->data;
}

static void *part(const char *id, const char *what, struct tensor *t)
{
    char name[TENSOR_NAME];

    snprintf(name, sizeof name, "%s.%s", id, what);
    return loaded(name, t);
}

static struct format_reader *opened(const char *quantization, struct err *e)
{
    char text[400];
    struct json *config;
    struct format_reader *r;

    snprintf(text, sizeof text, "{\"quantization_config\": %s}", quantization);
    assert_non_null(config = json_parse(text, strlen(text), "test", e));
    r = format_open(config, "folder", goldens, e);
    json_destroy(&config);
    return r;
}

static int same(void *ctx, const char *name, const void *data, size_t bytes, struct err *e)
{
    struct tensor t;

    (void)e;
    loaded(name, &t);
    assert_int_equal(bytes, t.bytes);
    assert_memory_equal(data, t.data, bytes);
    tensor_release(&t);
    ++*(int *)ctx;
    return 0;
}

static void same_words(const char *id, const struct packed *p, int zeros)
{
    const struct format *f = format_find("awq");
    struct format_linear l = {
        .N = N, .K = K, .bits = 4, .group = p->group, .G = p->G, .scale_type = DT_F16};
    uint16_t scales[N * 4];
    struct coded c = {.grid = grid_find(zeros ? "asym" : "sym"),
                      .N = N,
                      .K = K,
                      .G = p->G,
                      .bits = 4,
                      .group = p->group,
                      .codes = p->codes,
                      .scale_type = DT_F16,
                      .scales = scales,
                      .zeros = zeros ? p->zeros : NULL};
    struct err e = {0};
    int seen = 0;

    snprintf(l.name, sizeof l.name, "%s", id);
    dtype_from_f32(DT_F16, p->scales, N * p->G, scales);
    assert_int_equal(f->put(&l, &c, same, &seen, &e), 0);
    assert_int_equal(seen, 3);
    p->codes[5] = 16;
    assert_int_equal(f->put(&l, &c, same, &seen, &e), -1);
}

static void golden(const char *id, const char *config, int zeros)
{
    struct tensor codes, in_zeros, want;
    struct format_reader *r;
    struct err e = {0};
    struct packed p;
    float w[N * K];

    if (!(r = opened(config, &e)) || format_find_linear(r, id, N, K, &e) < 0 ||
        format_read_linear(r, id, N, K, &p, &e) != 1)
        fail_msg("%s: %s", id, e.text);
    assert_int_equal(format_find_linear(r, id, N, K * 2, &e), -1);
    assert_memory_equal(p.codes, part(id, "codes", &codes), N * K);
    part(id, "in_zeros", &in_zeros);
    for (size_t i = 0; i < N * p.G; i++)
        assert_int_equal(p.zeros[i], ((const int32_t *)in_zeros.data)[i]);
    assert_int_equal(format_load_linear(r, id, N, K, w, &e), 0);
    assert_memory_equal(w, part(id, "Wq", &want), sizeof w);
    same_words(id, &p, zeros);
    tensor_release(&codes);
    tensor_release(&in_zeros);
    tensor_release(&want);
    packed_release(&p);
    format_close(&r);
}

static void equals_goldens(void **state)
{
    static const char group[] = "{\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 32, "
                                "\"zero_point\": true, \"version\": \"gemm\"}",
                      row[] = "{\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": -1, "
                              "\"version\": \"GEMM\"}";

    (void)state;
    golden("awq-b4-asym-g32", group, 1);
    golden("awq-b4-asym-g32-zerozero", group, 1);
    golden("awq-b4-sym-pc", row, 0);
}

static void refuses_configs(void **state)
{
    static const char *const cases[][2] = {
        {"{\"quant_method\": \"awq\"}", "bits"},
        {"{\"quant_method\": \"awq\", \"bits\": 3, \"group_size\": 32}", "bits is 3"},
        {"{\"quant_method\": \"awq\", \"bits\": 4}", "group_size"},
        {"{\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 0}", "group_size is 0"},
        {"{\"quant_method\": \"awq\", \"bits\": 4, \"group_size\": 32, \"version\": \"gemv\"}",
         "'gemv'"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct err e = {0};

        assert_null(opened(cases[i][0], &e));
        assert_int_equal(e.kind, ERR_USE);
        if (!strstr(e.text, cases[i][1]) || !strstr(e.text, "folder/config.json"))
            fail_msg("'%s' does not say '%s'", e.text, cases[i][1]);
    }
}

static void refuses_linears(void **state)
{
    const struct format *f = format_find("awq");
    struct format_linear l = {
        .name = "w", .N = 64, .K = 128, .bits = 4, .group = 32, .scale_type = DT_F16};
    struct format_linear x = l;
    struct err e = {0};

    (void)state;
    assert_int_equal(f->check(&l, &e), 0);
    l.bits = 8;
    assert_int_equal(f->check(&l, &e), -1);
    assert_non_null(strstr(e.text, "'w': AWQ stores 4 bits, not 8"));
    l = x;
    l.scale_type = DT_BF16;
    assert_int_equal(f->check(&l, &e), -1);
    assert_non_null(strstr(e.text, "--scale-type f16"));
    l = x;
    l.N = 60;
    assert_int_equal(f->check(&l, &e), -1);
    assert_non_null(strstr(e.text, "60 outputs"));
    l = x;
    l.group = 48;
    assert_int_equal(f->check(&l, &e), -1);
    assert_non_null(strstr(e.text, "group 48"));
    l.group = 64;
    assert_int_equal(format_beside(f, &l, &x, &e), -1);
    assert_non_null(strstr(e.text, "'w' has group 64, 'w' 32"));
    assert_int_equal(format_beside(format_find("gptq"), &l, &x, &e), 0);
    l.group = 0; /* not known */
    assert_int_equal(format_beside(f, &l, &x, &e), 0);
}

static void says_what_is_kept(void **state)
{
    struct format_linear l[4] = {{.name = "b.0.q_proj", .site = 0, .fused = "qkv_proj", .kept = 1},
                                 {.name = "b.0.k_proj", .site = 0, .fused = "qkv_proj", .kept = 1},
                                 {.name = "b.0.up", .site = 1, .fused = "gate_up", .kept = 1},
                                 {.name = "b.0.gate", .site = 1, .fused = "gate_up", .group = 64}};
    const struct format_linear *all[4] = {&l[0], &l[1], &l[2], &l[3]};
    static const char *const other[] = {"lm_head", "b.0.router"};
    const struct format_model m = {.count = 4, .linear = all, .nothers = 2, .other = other};
    struct err e = {0};
    enum dtype dtype;
    struct json *c = format_find("awq")->config(&m, &dtype, &e);
    char *text = json_print(c, 0, &e);

    (void)state;
    assert_int_equal(dtype, DT_F16);
    assert_string_equal(
        text, "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":64,\"zero_point\":"
              "true,\"version\":\"gemm\",\"modules_to_not_convert\":[\"lm_head\","
              "\"b.0.q_proj\",\"b.0.k_proj\",\"b.0.qkv_proj\",\"b.0.up\",\"b.0.router\"]}");
    free(text);
    json_destroy(&c);
    l[3].kept = 1;
    assert_null(format_find("awq")->config(&m, &dtype, &e));
}

/* Engines call towers with and without "model." in front, and fuse what is in them. */
static void names_towers_as_a_whole(void **state)
{
    const struct {
        const char *linear, *other[4], *awq, *gptq;
    } models[] = {
        {"model.language_model.layers.0.mlp.up_proj",
         {"lm_head", "model.language_model.layers.0.mlp.gate", "model.visual.blocks.0.attn.qkv",
          "model.visual.merger.mlp.0"},
         "[\"lm_head\",\"visual\",\"model.language_model.layers.0.mlp.gate\",\"model.visual.blocks."
         "0.attn.qkv\",\"model.visual.merger.mlp.0\"]",
         "{\"-:^model\\\\.language_model\\\\.layers\\\\.0\\\\.mlp\\\\.gate(\\\\.|$)\":{},"
         "\"-:^(model\\\\.)?visual(\\\\.|$)\":{}}"},
        {"language_model.model.layers.11.mlp.up_proj",
         {"language_model.lm_head", "language_model.model.embed_tokens",
          "multi_modal_projector.linear_1", "vision_tower.vision_model.encoder.layers.0.mlp.fc1"},
         "[\"lm_head\",\"multi_modal_projector\",\"vision_tower\",\"language_model.lm_head\","
         "\"language_"
         "model.model.embed_tokens\",\"multi_modal_projector.linear_1\",\"vision_tower.vision_"
         "model."
         "encoder.layers.0.mlp.fc1\"]",
         "{\"-:^(model\\\\.)?multi_modal_projector(\\\\.|$)\":{},\"-:^(model\\\\.)?vision_tower("
         "\\\\.|"
         "$)\":{}}"},
        {"model.layers.3.mlp.up_proj",
         {"lm_head", "model.embed_tokens", "model.layers.3.mlp.gate", "model.norm_like"},
         "[\"lm_head\",\"model.embed_tokens\",\"model.layers.3.mlp.gate\",\"model.norm_like\"]",
         "{\"-:^model\\\\.layers\\\\.3\\\\.mlp\\\\.gate(\\\\.|$)\":{},\"-:^model\\\\.norm_like("
         "\\\\.|$)"
         "\":{}}"}};

    (void)state;
    for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
        struct format_linear l = {.bits = 4, .group = 64, .grid = grid_find("asym")};
        const struct format_linear *all[1] = {&l};
        const struct format_model m = {
            .count = 1, .linear = all, .nothers = 4, .other = models[i].other};
        struct err e = {0};
        enum dtype dtype;
        struct json *awq, *gptq;
        char *kept, *rules;

        snprintf(l.name, sizeof l.name, "%s", models[i].linear);
        awq = format_find("awq")->config(&m, &dtype, &e);
        gptq = format_find("gptq")->config(&m, &dtype, &e);
        kept = json_print(json_get(awq, "modules_to_not_convert"), 0, &e);
        rules = json_print(json_get(gptq, "dynamic"), 0, &e);
        assert_string_equal(kept, models[i].awq);
        assert_string_equal(rules, models[i].gptq);
        free(kept);
        free(rules);
        json_destroy(&awq);
        json_destroy(&gptq);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_goldens),          cmocka_unit_test(refuses_configs),
        cmocka_unit_test(refuses_linears),         cmocka_unit_test(says_what_is_kept),
        cmocka_unit_test(names_towers_as_a_whole),
    };

    return cmocka_run_group_tests_name("awq_format", tests, goldens_open, goldens_close);
}
