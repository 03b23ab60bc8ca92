/* SPDX-License-Identifier: Apache-2.0 */
/* compressed-tensors on grids of floating-point numbers: what the official packer wrote
 * (tests/golden/pack/make_float.py) is read to its weights, and our bytes of those codes are its
 * own; what is to be refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/format/format_ct.h"

enum { N = 6, K = 64 };

#define CONFIG(weights)                                                                           \
    "{\"quantization_config\": {\"quant_method\": \"compressed-tensors\", \"config_groups\": "    \
    "{\"a\": {\"targets\": [\"Linear\"], \"input_activations\": {\"num_bits\": 8}, \"weights\": " \
    "{\"type\": \"float\", " weights "}}}}}"
#define FP8 "\"num_bits\": 8, \"strategy\": "
#define FP4 "\"num_bits\": 4, \"strategy\": "

static const struct {
    const char *id, *config, *grid;
    int64_t group;
    size_t parts;
    int ours; /* we write such */
} cases[] = {
    {"fp8-channel", CONFIG(FP8 "\"channel\""), "fp8", -1, 2, 1},
    {"fp8-tensor", CONFIG(FP8 "\"tensor\""), "fp8", -1, 2, 0},
    {"fp8-block", CONFIG(FP8 "\"block\", \"block_structure\": [4, 24]"), "fp8", 24, 2, 0},
    {"nvfp4", CONFIG(FP4 "\"tensor_group\", \"group_size\": 16"), "nvfp4", 16, 3, 1},
    {"mxfp4", CONFIG(FP4 "\"group\", \"group_size\": 32"), "mxfp4", 32, 2, 1},
};
#define CASES (sizeof cases / sizeof *cases)

static struct st_set *golden(void)
{
    struct err e = {0};
    struct st_set *s = st_open("tests/golden/pack/ct-float.safetensors", &e);

    if (!s)
        fail_msg("%s", e.text);
    return s;
}

static struct format_reader *opened(const char *config, const struct st_set *s)
{
    struct err e = {0};
    struct json *c = json_parse(config, strlen(config), "test", &e);
    struct format_reader *r = c ? format_open(c, "folder", s, &e) : NULL;

    if (!r)
        fail_msg("%s", e.text);
    json_destroy(&c);
    return r;
}

/* Theirs is worked out in f32, in the type of the scales. */
static void reads_weights(void **state)
{
    struct st_set *s = golden();

    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct format_reader *r = opened(cases[i].config, s);
        struct err e = {0};
        float got[N * K], want[N * K];
        char name[64];

        snprintf(name, sizeof name, "%s-is.weight", cases[i].id);
        assert_int_equal(st_load_rows_f32(s, st_find(s, name), 0, N, want, &e), 0);
        if (format_find_linear(r, cases[i].id, N, K, &e) ||
            format_load_linear(r, cases[i].id, N, K, got, &e))
            fail_msg("%s: %s", cases[i].id, e.text);
        for (size_t k = 0; k < (size_t)N * K; k++)
            if (!(fabsf(got[k] - want[k]) <= 2.5e-7F * fabsf(want[k])))
                fail_msg("%s: %g, not %g", cases[i].id, (double)got[k], (double)want[k]);
        format_close(&r);
    }
    st_close(&s);
}

/* The scales of blocks under the name that DeepSeek gave them, and one without dimensions. */
static void copy(struct st_writer *w, const struct st_set *s, const char *from, const char *to,
                 int ndim, int put)
{
    const struct st_entry *x = st_find(s, from);
    struct err e = {0};
    struct tensor t;

    assert_non_null(x);
    if (!put) {
        assert_int_equal(st_declare(w, to, x->dtype, ndim, x->shape, &e), 0);
        return;
    }
    assert_int_equal(st_load(s, x, &t, &e), 0);
    assert_int_equal(st_put(w, to, t.data, t.bytes, &e), 0);
    tensor_release(&t);
}

static void reads_deepseek(void **state)
{
    static const char *const ids[] = {"fp8-block", "fp8-tensor"};
    static const char *const configs[] = {
        "{\"quantization_config\": {\"quant_method\": \"fp8\", \"weight_block_size\": [4, 24]}}",
        "{\"quantization_config\": {\"quant_method\": \"fp8\"}}"};
    char path[] = "/tmp/ptq-fp8-XXXXXX";
    struct st_set *s = golden(), *made;
    struct err e = {0};
    struct st_writer *w;

    (void)state;
    assert_true(close(mkstemp(path)) == 0);
    assert_non_null(w = st_create(path, &e));
    for (int put = 0; put < 2; put++) {
        copy(w, s, "fp8-block.weight", "fp8-block.weight", 2, put);
        copy(w, s, "fp8-block.weight_scale", "fp8-block.weight_scale_inv", 2, put);
        copy(w, s, "fp8-tensor.weight", "fp8-tensor.weight", 2, put);
        copy(w, s, "fp8-tensor.weight_scale", "fp8-tensor.weight_scale", 0, put);
        assert_int_equal(put ? st_publish(&w, &e) : st_begin(w, &e), 0);
    }
    assert_non_null(made = st_open(path, &e));
    for (size_t i = 0; i < 2; i++) {
        struct format_reader *r = opened(configs[i], made), *other = opened(configs[1 - i], made);
        float got[N * K], want[N * K];
        char name[64];

        snprintf(name, sizeof name, "%s-is.weight", ids[i]);
        assert_int_equal(st_load_rows_f32(s, st_find(s, name), 0, N, want, &e), 0);
        if (format_find_linear(r, ids[i], N, K, &e) || format_load_linear(r, ids[i], N, K, got, &e))
            fail_msg("%s: %s", ids[i], e.text);
        for (size_t k = 0; k < (size_t)N * K; k++)
            assert_true(fabsf(got[k] - want[k]) <= 2.5e-7F * fabsf(want[k]));
        assert_string_equal(format_of(r)->name, "fp8");
        assert_int_equal(format_find_linear(other, ids[i], N, K, &e), -1);
        assert_non_null(strstr(e.text, "is missing"));
        format_close(&r);
        format_close(&other);
    }
    st_close(&made);
    st_close(&s);
    unlink(path);
}

struct given {
    const struct st_set *s;
    size_t seen;
};

static int same(void *ctx, const char *name, const void *data, size_t bytes, struct err *e)
{
    struct given *g = ctx;
    struct tensor t;

    assert_non_null(st_find(g->s, name));
    assert_int_equal(st_load(g->s, st_find(g->s, name), &t, e), 0);
    if (bytes != t.bytes || memcmp(data, t.data, bytes) != 0)
        fail_msg("%s: other bytes", name);
    tensor_release(&t);
    g->seen++;
    return 0;
}

static void same_bytes(void **state)
{
    const struct format *f = format_find("compressed-tensors");
    struct st_set *s = golden();

    (void)state;
    for (size_t i = 0; i < CASES; i++) {
        struct format_reader *r = opened(cases[i].config, s);
        struct format_tensor t[FORMAT_TENSORS];
        struct given given = {s, 0};
        struct format_linear l = {.N = N, .K = K};
        unsigned char scales[4 * N * K];
        struct err e = {0};
        struct coded c;
        struct packed p;

        assert_int_equal(format_read_linear(r, cases[i].id, N, K, &p, &e), 1);
        packed_linear(&p, &l);
        assert_string_equal(l.grid->name, cases[i].grid);
        assert_int_equal(l.group, cases[i].group);
        snprintf(l.name, sizeof l.name, "%s", cases[i].id);
        dtype_from_f32(p.scale_type, p.scales, p.N * p.G, scales);
        c = (struct coded){.grid = l.grid,
                           .N = N,
                           .K = K,
                           .G = p.G,
                           .bits = p.bits,
                           .group = p.group,
                           .codes = p.codes,
                           .scale_type = p.scale_type,
                           .scales = scales,
                           .tensor_scale = p.tensor_scale};
        if (cases[i].ours) {
            assert_int_equal(f->put(&l, &c, same, &given, &e), 0);
            assert_int_equal(given.seen, cases[i].parts);
            assert_int_equal(f->tensors(&l, t, &e), cases[i].parts);
            for (size_t k = 0; k < cases[i].parts; k++) {
                const struct st_entry *x = st_find(s, t[k].name);

                assert_true(x && x->dtype == t[k].dtype && x->ndim == t[k].ndim);
                assert_memory_equal(x->shape, t[k].shape, (size_t)x->ndim * sizeof *x->shape);
            }
        }
        packed_release(&p);
        format_close(&r);
    }
    st_close(&s);
}

/* By the tensors alone; a weight of 8 bits with a scale beside it is none to be read as it is. */
static void looks(void **state)
{
    struct st_set *s = golden();
    size_t found = 0;

    (void)state;
    for (size_t i = 0; i < s->count; i++) {
        struct format_linear l;

        if (!format_look(s, &s->entries[i], &l))
            continue;
        assert_true(l.N == N && l.K == K);
        for (size_t k = 0; k < CASES; k++)
            found += strcmp(l.name, cases[k].id) == 0 && strcmp(l.grid->name, cases[k].grid) == 0;
    }
    assert_int_equal(found, CASES);
    assert_int_equal(format_is_plain(s, "fp8-tensor"), 0);
    assert_int_equal(format_is_plain(s, "fp8-tensor-is"), 1);
    assert_int_equal(format_is_plain(s, "nvfp4"), 0);
    st_close(&s);
}

static void refused_find(const struct st_set *s, const char *config, const char *id, size_t rows,
                         size_t columns, const char *word)
{
    struct format_reader *r = opened(config, s);
    struct err e = {0};

    assert_int_equal(format_find_linear(r, id, rows, columns, &e), -1);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not say '%s'", e.text, word);
    format_close(&r);
}

static void refuses_tensors(void **state)
{
    struct st_set *s = golden();

    (void)state;
    refused_find(s, cases[0].config, "fp8-channel", N, K + 1, "[6, 64], config.json wants [6, 65]");
    refused_find(s, cases[0].config, "fp8-tensor", N, K, "'fp8-tensor.weight_scale' has shape [1]");
    refused_find(s, cases[0].config, "nvfp4", N, K, "'nvfp4.weight' is missing");
    refused_find(s, "{}", "fp8-channel", N, K, "'fp8-channel.weight' is quantized already");
    refused_find(s, "{}", "fp8-tensor", N, K, "'fp8-tensor.weight' is quantized already");
    refused_find(s, cases[2].config, "fp8-channel", N, K, "config.json wants [2, 3]");
    refused_find(s, cases[3].config, "mxfp4", N, K, "'mxfp4.weight_scale' has type U8, F8_E4M3");
    refused_find(s, cases[4].config, "nvfp4", N, K, "'nvfp4.weight_scale' has type F8_E4M3, U8");
    refused_find(s, cases[3].config, "nvfp4", N, K + 8, "groups of 16 do not divide 72");
    st_close(&s);
}

static void refused_check(const char *format, const char *grid, int64_t group, size_t columns,
                          enum dtype type, const char *word)
{
    const struct grid *g = grid_find(grid);
    const struct format_linear l = {.name = "w",
                                    .N = 8,
                                    .K = columns,
                                    .bits = g->group ? 4 : 8,
                                    .group = group,
                                    .grid = g,
                                    .scale_type = type};
    struct err e = {0};

    assert_int_equal(format_find(format)->check(&l, &e), *word ? -1 : 0);
    if (!strstr(e.text, word))
        fail_msg("'%s' does not say '%s'", e.text, word);
}

static void refuses_shapes(void **state)
{
    static const char *const others[] = {"gptq", "gptq-v2", "awq", "gguf"};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        refused_check(others[i], "fp8", -1, 64, DT_F16, "not fp8");
        refused_check(others[i], "mxfp4", 32, 64, DT_F8_E8M0, "not mxfp4");
    }
    refused_check("compressed-tensors", "fp8", -1, 63, DT_BF16, "");
    refused_check("compressed-tensors", "fp8", 64, 64, DT_BF16, "--group -1");
    refused_check("compressed-tensors", "fp8", -1, 64, DT_F32, "--scale-type bf16");
    refused_check("compressed-tensors", "nvfp4", 16, 72, DT_F8_E4M3, "do not divide 72");
    refused_check("compressed-tensors", "mxfp4", 32, 64, DT_F8_E8M0, "");
}

/* What a solver sends is looked at where it arrives. */
static void no_number(void **state)
{
    uint8_t codes[4] = {0, 1, 0xff, 3};
    uint16_t scale = f32_to_f16(1);
    const uint64_t wide[2] = {1, 4}, one[2] = {1, 1};
    struct solution_linear x = {
        .name = "w", .N = 1, .K = 4, .G = 1, .bits = 8, .group = -1, .grid = "fp8"};
    struct tensor t, s;
    struct coded c;
    struct err e = {0};

    (void)state;
    assert_int_equal(tensor_borrow(&t, "w.codes", DT_U8, 2, wide, codes, &e), 0);
    assert_int_equal(tensor_borrow(&s, "w.scales", DT_F16, 2, one, &scale, &e), 0);
    x.codes = &t;
    x.scales = &s;
    assert_int_equal(coded_read(&x, &c, &e), -1);
    assert_non_null(strstr(e.text, "'w.codes': 1 of them are no number on grid fp8"));
    codes[2] = 0xfe;
    assert_int_equal(coded_read(&x, &c, &e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_weights),   cmocka_unit_test(reads_deepseek),
        cmocka_unit_test(same_bytes),      cmocka_unit_test(looks),
        cmocka_unit_test(refuses_tensors), cmocka_unit_test(refuses_shapes),
        cmocka_unit_test(no_number),
    };

    return cmocka_run_group_tests_name("ct_float", tests, NULL, NULL);
}
