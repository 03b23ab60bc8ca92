/* SPDX-License-Identifier: Apache-2.0 */
/* compressed-tensors: the words of the official packer (tests/golden/pack), read and written; what
 * config.json says of several kinds; what must be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/format/format_ct.h"

#define WEIGHTS \
    "{\"num_bits\": 4, \"symmetric\": true, \"strategy\": \"group\", \"group_size\": 32}"
#define GROUP(targets, weights) "{\"targets\": [" targets "], \"weights\": " weights "}"
#define CONFIG(groups, more)                                                           \
    "{\"quant_method\": \"compressed-tensors\", \"format\": \"pack-quantized\", " more \
    "\"config_groups\": {" groups "}}"

static void refuses_shapes(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(ct_check(24, 100, 4, -1, "w", &e), 0);
    assert_int_equal(ct_check(1, 96, 8, 32, "w", &e), 0);
    assert_int_equal(ct_check(24, 96, 3, 32, "w", &e), -1);
    assert_non_null(strstr(e.text, "'w'"));
    assert_non_null(strstr(e.text, "3 bits"));
    assert_int_equal(ct_check(24, 96, 5, 32, "w", &e), -1);
    assert_int_equal(ct_check(0, 96, 4, 32, "w", &e), -1);
    assert_int_equal(ct_check(24, 100, 4, 32, "w", &e), -1);
    assert_non_null(strstr(e.text, "group 32 does not divide 100"));
    assert_int_equal(ct_check(24, 96, 4, 0, "w", &e), -1);
    assert_int_equal(ct_check(24, 96, 4, 128, "w", &e), -1);
    assert_int_equal(e.kind, ERR_USE);
}

static void refuses_values(void **state)
{
    uint8_t codes[24];
    uint32_t words[24];

    (void)state;
    memset(codes, 15, sizeof codes);
    assert_int_equal(ct_pack(4, 6, 4, 0, codes, words), 0);
    codes[23] = 16;
    assert_int_equal(ct_pack(4, 6, 4, 0, codes, words), -1);
    assert_int_equal(ct_pack(4, 6, 4, 1, codes, words), -1);
}

static struct format_reader *opened(const char *quantization, const struct st_set *s, struct err *e)
{
    char text[1600];
    struct json *config;
    struct format_reader *r;

    snprintf(text, sizeof text, "{\"quantization_config\": %s}", quantization);
    assert_non_null(config = json_parse(text, strlen(text), "test", e));
    r = format_open(config, "folder", s, e);
    json_destroy(&config);
    return r;
}

/* ---- against the official packer ---- */

static void *loaded(const struct st_set *s, const char *id, const char *part, struct tensor *t)
{
    const struct format_source from = {"golden", s};
    struct err e = {0};

    assert_non_null(packed_part(&from, id, part));
    assert_int_equal(packed_part_load(&from, id, part, t, &e), 0);
    return t->data;
}

struct given {
    const struct st_set *s;
    const char *id;
    int seen;
};

static int same(void *ctx, const char *name, const void *data, size_t bytes, struct err *e)
{
    struct given *g = ctx;
    struct tensor t;

    (void)e;
    loaded(g->s, g->id, name + strlen(g->id) + 1, &t);
    assert_int_equal(bytes, t.bytes);
    assert_memory_equal(data, t.data, bytes);
    tensor_release(&t);
    g->seen++;
    return 0;
}

static void same_words(const struct st_set *s, const char *id, const struct packed *p, int zeros)
{
    struct given g = {s, id, 0};
    const struct format *f = format_find("compressed-tensors");
    struct format_linear l = {.N = p->N,
                              .K = p->K,
                              .bits = p->bits,
                              .group = p->group,
                              .G = p->G,
                              .grid = grid_find(zeros ? "asym" : "sym"),
                              .scale_type = DT_BF16};
    uint16_t scales[24 * 4];
    struct coded c = {.grid = l.grid,
                      .N = p->N,
                      .K = p->K,
                      .G = p->G,
                      .bits = p->bits,
                      .group = p->group,
                      .codes = p->codes,
                      .scale_type = DT_BF16,
                      .scales = scales,
                      .zeros = zeros ? p->zeros : NULL};
    struct err e = {0};

    snprintf(l.name, sizeof l.name, "%s", id);
    dtype_from_f32(DT_BF16, p->scales, p->N * p->G, scales);
    assert_int_equal(f->put(&l, &c, same, &g, &e), 0);
    assert_int_equal(g.seen, 3 + zeros);
}

static void golden(const struct st_set *s, int bits, int zeros, const char *shape)
{
    const size_t small = strcmp(shape, "channel-20x100") == 0, N = small ? 20 : 24,
                 K = small ? 100 : 128;
    const int grouped = strcmp(shape, "g32") == 0;
    const struct format_source from = {"golden", s};
    struct format_linear look;
    struct format_reader *r;
    struct err e = {0};
    struct packed p;
    struct tensor codes, in_zeros, want;
    char id[64], config[640];
    float w[24 * 128];

    snprintf(id, sizeof id, "ct-b%d-%s-%s", bits, zeros ? "asym" : "sym", shape);
    snprintf(config, sizeof config,
             CONFIG("\"group_0\": {\"targets\": [\"Linear\"], \"weights\": {\"num_bits\": %d, "
                    "\"type\": \"int\", \"symmetric\": %s, \"strategy\": \"%s\", "
                    "\"group_size\": %s}}",
                    ""),
             bits, zeros ? "false" : "true", grouped ? "group" : "channel",
             grouped ? "32" : "null");
    if (!(r = opened(config, s, &e)) || format_find_linear(r, id, N, K, &e) < 0 ||
        format_read_linear(r, id, N, K, &p, &e) != 1)
        fail_msg("%s: %s", id, e.text);
    assert_int_equal(format_find_linear(r, id, N + 1, K, &e), -1);
    assert_int_equal(p.scale_type, DT_BF16);
    assert_memory_equal(p.codes, loaded(s, id, "codes", &codes), N * K);
    loaded(s, id, "in_zeros", &in_zeros);
    for (size_t i = 0; i < N * p.G; i++)
        assert_int_equal(p.zeros[i], ((const int32_t *)in_zeros.data)[i]);
    same_words(s, id, &p, zeros);
    if (packed_part(&from, id, "Wq")) {
        assert_int_equal(format_load_linear(r, id, N, K, w, &e), 0);
        assert_memory_equal(w, loaded(s, id, "Wq", &want), N * K * sizeof *w);
        tensor_release(&want);
    }
    assert_int_equal(
        format_find("compressed-tensors")->look(s, packed_part(&from, id, "weight_scale"), &look),
        1);
    assert_true(look.N == N && look.K == K && look.bits == bits);
    assert_int_equal(look.group, grouped ? 32 : K);
    tensor_release(&codes);
    tensor_release(&in_zeros);
    packed_release(&p);
    format_close(&r);
}

static void equals_goldens(void **state)
{
    static const char *const shapes[] = {"g32", "channel", "channel-20x100"};
    static const int bits[] = {2, 4, 8};
    struct err e = {0};
    struct st_set *s = st_open("tests/golden/pack/compressed-tensors.safetensors", &e);

    (void)state;
    assert_non_null(s);
    for (size_t b = 0; b < 3; b++)
        for (size_t k = 0; k < 3; k++)
            for (int zeros = 0; zeros < 2; zeros++)
                golden(s, bits[b], zeros, shapes[k]);
    st_close(&s);
}

/* ---- config.json ---- */

static struct format_linear linear(const char *name, int bits, int64_t group)
{
    struct format_linear l = {
        .bits = bits, .group = group, .grid = &grid_sym, .scale_type = DT_BF16, .kept = !bits};

    snprintf(l.name, sizeof l.name, "%s", name);
    return l;
}

static struct json *config_of(const struct format_linear *l, size_t n)
{
    const struct format_linear *all[8];
    static const char *const other[] = {"lm_head", "model.layers.0.mlp.gate"};
    const struct format_model m = {
        .count = n, .linear = all, .nothers = 2, .other = other, .damp = 0.01};
    struct err e = {0};
    enum dtype dtype;
    struct json *c;

    for (size_t i = 0; i < n; i++)
        all[i] = &l[i];
    if (!(c = ct_config(&m, &dtype, &e)))
        fail_msg("%s", e.text);
    assert_int_equal(dtype, DT_BF16);
    return c;
}

static void says(const struct json *of, const char *key, const char *want)
{
    struct err e = {0};
    char *text = json_print(json_get(of, key), 0, &e);

    assert_string_equal(text, want);
    free(text);
}

static const struct json *group_of(const struct json *c, const char *name)
{
    return json_get(json_get(c, "config_groups"), name);
}

static void one_kind(void **state)
{
    const struct format_linear l[] = {linear("model.layers.0.mlp.up_proj", 4, 64),
                                      linear("model.layers.1.mlp.up_proj", 4, 64),
                                      linear("model.layers.1.mlp.down_proj", 0, 0)};
    struct json *c = config_of(l, 3);

    (void)state;
    says(group_of(c, "group_0"), "targets", "[\"Linear\"]");
    says(group_of(c, "group_0"), "weights",
         "{\"num_bits\":4,\"type\":\"int\",\"symmetric\":true,\"strategy\":\"group\","
         "\"group_size\":64,\"dynamic\":false,\"actorder\":null,\"block_structure\":null,"
         "\"observer\":\"minmax\",\"observer_kwargs\":{}}");
    assert_null(group_of(c, "group_1"));
    says(c, "ignore", "[\"lm_head\",\"model.layers.1.mlp.down_proj\",\"model.layers.0.mlp.gate\"]");
    json_destroy(&c);
}

/* All down_proj are of one kind: one expression; of the others each by its name, where some are
 * kept the expression still says what the rest is. */
static void several_kinds(void **state)
{
    struct format_linear l[] = {linear("model.layers.0.mlp.up_proj", 4, 64),
                                linear("model.layers.0.mlp.down_proj", 8, -1),
                                linear("model.layers.10.mlp.up_proj", 8, -1),
                                linear("model.layers.10.mlp.down_proj", 8, -1),
                                linear("model.layers.2.self_attn.o_proj", 4, 64),
                                linear("model.layers.3.self_attn.o_proj", 0, 0)};
    struct json *c = config_of(l, 6);

    (void)state;
    says(group_of(c, "group_0"), "targets",
         "[\"model.layers.0.mlp.up_proj\",\"re:^model\\\\.layers\\\\.\\\\d+\\\\.self_attn\\\\.o_"
         "proj$\"]");
    says(group_of(c, "group_1"), "targets",
         "[\"re:^model\\\\.layers\\\\.\\\\d+\\\\.mlp\\\\.down_proj$\",\"model.layers.10.mlp.up_"
         "proj\"]");
    says(json_get(group_of(c, "group_1"), "weights"), "strategy", "\"channel\"");
    says(json_get(group_of(c, "group_1"), "weights"), "group_size", "null");
    json_destroy(&c);
}

static void nothing_quantized(void **state)
{
    const struct format_linear l = linear("a", 0, 0), *all = &l;
    const struct format_model m = {.count = 1, .linear = &all};
    struct err e = {0};
    enum dtype dtype;

    (void)state;
    assert_null(ct_config(&m, &dtype, &e));
    assert_non_null(strstr(e.text, "nothing"));
}

static void config_refused(const char *quantization, const char *word)
{
    struct err e = {0};

    assert_null(opened(quantization, NULL, &e));
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word) || !strstr(e.text, "folder/config.json"))
        fail_msg("'%s' does not say '%s'", e.text, word);
}

static void refuses_configs(void **state)
{
    (void)state;
    config_refused("{\"quant_method\": \"compressed-tensors\"}", "config_groups");
    config_refused(CONFIG("", ""), "config_groups");
    config_refused(CONFIG("\"a\": 1", ""), "a must be an object");
    config_refused(CONFIG("\"a\": {\"targets\": [\"Linear\"]}", ""), "num_bits");
    config_refused(CONFIG("\"a\": " GROUP("1", WEIGHTS), ""), "no text");
    config_refused(CONFIG("\"a\": {\"targets\": 1, \"weights\": " WEIGHTS "}", ""), "targets");
    config_refused(CONFIG("\"a\": " GROUP("\"re:(\"", WEIGHTS), ""), "targets");
    config_refused(CONFIG("\"a\": " GROUP("\"Linear\"", WEIGHTS), "\"ignore\": 1, "), "ignore");
    config_refused(
        CONFIG("\"a\": " GROUP("\"Linear\"", WEIGHTS), "\"kv_cache_scheme\": {\"a\": 1}, "),
        "kv_cache_scheme");
    config_refused(
        CONFIG("\"a\": " GROUP("\"Linear\"", WEIGHTS), "\"transform_config\": {\"a\": 1}, "),
        "transform_config");
    config_refused(CONFIG("\"a\": {\"targets\": [], \"weights\": " WEIGHTS
                          ", \"input_activations\": {\"num_bits\": 8}}",
                          ""),
                   "input_activations");
    config_refused(CONFIG("\"a\": {\"targets\": [], \"weights\": {\"num_bits\": 8, \"type\": "
                          "\"float\"}}",
                          ""),
                   "strategy '' is not supported");
    config_refused(CONFIG("\"a\": {\"targets\": [], \"weights\": {\"num_bits\": 6, \"type\": "
                          "\"float\"}}",
                          ""),
                   "floats of 6 bits");
    config_refused(CONFIG("\"a\": {\"targets\": [], \"weights\": {\"num_bits\": 8, \"type\": "
                          "\"float\", \"strategy\": \"block\"}}",
                          ""),
                   "block_structure");
    config_refused(CONFIG("\"a\": {\"targets\": [], \"weights\": {\"num_bits\": 8, \"type\": "
                          "\"float\", \"symmetric\": false, \"strategy\": \"channel\"}}",
                          ""),
                   "not symmetric");
    config_refused(CONFIG("\"a\": {\"targets\": [], \"weights\": {\"num_bits\": 8, \"strategy\": "
                          "\"tensor\"}}",
                          ""),
                   "'tensor'");
    config_refused(CONFIG("\"a\": {\"targets\": [], \"weights\": {\"num_bits\": 8, \"strategy\": "
                          "\"group\"}}",
                          ""),
                   "group_size");
    config_refused("{\"quant_method\": \"compressed-tensors\", \"format\": \"sparse-bitmask\"}",
                   "'sparse-bitmask'");
}

/* A name speaks louder than an expression, that louder than the class; what is ignored is not
 * packed. */
static void who_speaks(void **state)
{
    static const char config[] = CONFIG(
        "\"a\": " GROUP("\"Linear\"", "{\"num_bits\": 4}") ", \"b\": " GROUP(
            "\"re:.*8.*\"", "{\"num_bits\": 8}") ", \"c\": " GROUP("\"ct-b2-sym-channel\", "
                                                                   "\"ct-b8-sym-channel-20x100\"",
                                                                   "{\"num_bits\": 2}"),
        "\"ignore\": [\"re:.*-sym-g32\"], ");
    struct err e = {0};
    struct st_set *s = st_open("tests/golden/pack/compressed-tensors.safetensors", &e);
    struct format_reader *r = opened(config, s, &e);

    (void)state;
    if (!r)
        fail_msg("%s", e.text);
    assert_int_equal(format_find_linear(r, "ct-b4-sym-channel", 24, 128, &e), 0);
    assert_int_equal(format_find_linear(r, "ct-b8-sym-channel", 24, 128, &e), 0);
    assert_int_equal(format_find_linear(r, "ct-b2-sym-channel", 24, 128, &e), 0);
    assert_int_equal(format_find_linear(r, "ct-b8-sym-channel-20x100", 20, 100, &e), -1);
    assert_non_null(strstr(e.text, "weight_packed' has shape [20, 25], config.json wants [20, 7]"));
    assert_int_equal(format_find_linear(r, "ct-b4-sym-g32", 24, 128, &e), -1);
    assert_non_null(strstr(e.text, "'ct-b4-sym-g32' is not quantized"));
    assert_int_equal(format_find_linear(r, "none", 24, 128, &e), -1);
    assert_non_null(strstr(e.text, "'none.weight_packed' is missing"));
    format_close(&r);
    st_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_shapes),  cmocka_unit_test(refuses_values),
        cmocka_unit_test(equals_goldens),  cmocka_unit_test(one_kind),
        cmocka_unit_test(several_kinds),   cmocka_unit_test(nothing_quantized),
        cmocka_unit_test(refuses_configs), cmocka_unit_test(who_speaks),
    };

    return cmocka_run_group_tests_name("ct_format", tests, NULL, NULL);
}
