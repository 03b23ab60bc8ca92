/* SPDX-License-Identifier: Apache-2.0 */
/* Stacks of matrices in MXFP4 as tensors of BF16, against what transformers unpacks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/format/format.h"
#include "../../common/tensor/safetensors.h"

#define GOLDEN "tests/golden/mxfp4"
enum { E = 2, N = 70, K = 96 };

static char root[] = "/tmp/ptq-mxfp4-XXXXXX", path[64];

static int root_make(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/model.safetensors", mkdtemp(root));
    return 0;
}

static int root_remove(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(root);
}

static struct st_set *folder(const char *dir)
{
    struct err e = {0};
    struct st_set *s = st_open_folder(dir, &e);

    if (!s)
        fail_msg("%s", e.text);
    return s;
}

/* A folder with blocks [E, n, 2, 16] and, unless their type is DT_COUNT, scales [E, rows, 2]. */
static void file(size_t width, enum dtype type, size_t rows, const char *also)
{
    const uint64_t blocks[4] = {E, 4, 2, width}, scales[3] = {E, rows, 2}, one[1] = {16};
    static const char zero[4096];
    struct err e = {0};
    struct st_writer *w = st_create(path, &e);

    assert_int_equal(st_declare(w, "x_blocks", DT_U8, 4, blocks, &e), 0);
    if (type != DT_COUNT)
        assert_int_equal(st_declare(w, "x_scales", type, 3, scales, &e), 0);
    if (also)
        assert_int_equal(st_declare(w, also, DT_U8, 1, one, &e), 0);
    assert_int_equal(st_begin(w, &e), 0);
    assert_int_equal(st_put(w, "x_blocks", zero, E * 4 * 2 * width, &e), 0);
    if (type != DT_COUNT)
        assert_int_equal(st_put(w, "x_scales",
                                memset((char[4096]){0}, 255, E * rows * 2 * dtype_size(type)),
                                E * rows * 2 * dtype_size(type), &e),
                         0);
    if (also)
        assert_int_equal(st_put(w, also, zero, 16, &e), 0);
    assert_int_equal(st_publish(&w, &e), 0);
}

static void refused(const char *part)
{
    struct err e = {0};

    assert_null(st_open_folder(root, &e));
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, part))
        fail_msg("'%s' does not name '%s'", e.text, part);
}

static void bad_pairs(void **state)
{
    float f[8];
    struct err e = {0};
    struct st_set *s;

    (void)state;
    file(16, DT_COUNT, 4, NULL);
    refused("'x_scales' is not there");
    file(16, DT_U8, 3, NULL);
    refused("'x_scales' is not one byte for each");
    file(16, DT_I16, 4, NULL);
    refused("'x_scales' is not one byte for each");
    file(16, DT_U8, 4, "x");
    refused("'x' is there as it is and as blocks");
    file(15, DT_U8, 4, NULL);
    refused(
        "'x_blocks' is U8 [2, 4, 2, 15], but blocks of MXFP4 are U8 [experts, rows, blocks, 16]");
    file(15, DT_COUNT, 4, NULL); /* with no scales: a tensor of that name */
    s = folder(root);
    assert_non_null(st_find(s, "x_blocks"));
    assert_null(st_find(s, "x"));
    st_close(&s);
    file(16, DT_U8, 4, NULL); /* scales of 255 */
    s = folder(root);
    assert_int_equal(st_load_finite_f32(s, st_find(s, "x"), 0, 1, (float[64 * 4]){0}, &e), -1);
    assert_non_null(strstr(e.text, "'x' holds NaN"));
    assert_int_equal(st_load_rows_f32(s, st_find(s, "x"), 2, 1, f, &e), -1);
    st_close(&s);
}

/* Whole, by rows, by bytes, and matrix by matrix, turned. */
static void as_transformers(void **state)
{
    struct st_set *s = folder(GOLDEN), *g = NULL;
    struct err e = {0};
    struct tensor want, got, one;
    const struct st_entry *x;
    static float all[E * K * N], rows[N * K], part[3 * K];
    const uint16_t *w;
    char bytes[4001];

    (void)state;
    assert_non_null(g = st_open(GOLDEN "/golden.safetensors", &e));
    assert_int_equal(st_load(g, st_find(g, "a.x"), &want, &e), 0);
    w = want.data;
    assert_non_null(x = st_find(s, "a.x"));
    assert_null(st_find(s, "a.x_blocks"));
    assert_null(st_find(s, "a.x_scales"));
    assert_non_null(st_find(s, "b"));
    assert_int_equal(s->count, 2);
    assert_int_equal(x->dtype, DT_BF16);
    assert_memory_equal(x->shape, want.shape, 3 * sizeof *x->shape);
    assert_int_equal(st_load(s, x, &got, &e), 0);
    assert_int_equal(got.bytes, want.bytes);
    assert_memory_equal(got.data, want.data, want.bytes);
    assert_int_equal(st_load_finite_f32(s, x, 0, E, all, &e), 0);
    assert_int_equal(st_span(s, x, bytes, sizeof bytes, K * N * 2 - 1999, &e), 0);
    assert_memory_equal(bytes, (const char *)want.data + K * N * 2 - 1999, sizeof bytes);
    for (size_t i = 0; i < E; i++) {
        struct st_entry m;

        assert_int_equal(st_turn(s, x, i, &m, &e), 0);
        assert_int_equal(st_load(s, &m, &one, &e), 0);
        assert_int_equal(st_load_rows_f32(s, &m, 0, N, rows, &e), 0);
        assert_int_equal(st_load_rows_f32(s, &m, 66, 3, part, &e), 0);
        assert_memory_equal(part, rows + 66 * K, sizeof part);
        for (size_t n = 0; n < N; n++)
            for (size_t k = 0; k < K; k++) {
                const uint16_t v = w[(i * K + k) * N + n];

                assert_int_equal(((const uint16_t *)one.data)[n * K + k], v);
                assert_true(rows[n * K + k] == bf16_to_f32(v));
                assert_true(all[(i * K + k) * N + n] == bf16_to_f32(v));
            }
        tensor_release(&one);
    }
    tensor_release(&got);
    tensor_release(&want);
    st_close(&g);
    st_close(&s);
}

/* A copy holds what it is unpacked to. */
static void copied(void **state)
{
    struct st_set *s = folder(GOLDEN), *c;
    const struct st_entry *x = st_find(s, "a.x");
    struct err e = {0};
    struct st_writer *w = st_create(path, &e);
    struct tensor a, b;

    (void)state;
    assert_int_equal(st_declare(w, "a.x", x->dtype, x->ndim, x->shape, &e), 0);
    assert_int_equal(st_begin(w, &e), 0);
    assert_int_equal(st_copy(w, "a.x", s, x, &e), 0);
    assert_int_equal(st_publish(&w, &e), 0);
    c = folder(root);
    assert_int_equal(st_load(s, x, &a, &e), 0);
    assert_int_equal(st_load(c, st_find(c, "a.x"), &b, &e), 0);
    assert_memory_equal(a.data, b.data, a.bytes);
    tensor_release(&a);
    tensor_release(&b);
    st_close(&c);
    st_close(&s);
}

/* Such a checkpoint is one that a run may start from. */
static void plain(void **state)
{
    static const char *const text[] = {
        "{\"quantization_config\": {\"quant_method\": \"mxfp4\", \"modules_to_not_convert\": []}}",
        "{\"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4, \"group_size\": 32}}",
        "{\"quantization_config\": \"mxfp4\"}"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct err e = {0};
        struct json *j = json_parse(text[i], strlen(text[i]), "config.json", &e);
        const struct format *f = format_unpacked(j);

        assert_int_equal(format_check_plain(j, "m", &e), i ? -1 : 0);
        assert_true(i ? !f : f == format_find("mxfp4"));
        if (!i) {
            struct st_set *s = folder(GOLDEN);
            struct format_reader *r = format_open(j, "m", s, &e);

            assert_non_null(r);
            assert_int_equal(format_is_quantized(r), 0);
            format_close(&r);
            st_close(&s);
        }
        json_destroy(&j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_pairs),
        cmocka_unit_test(as_transformers),
        cmocka_unit_test(copied),
        cmocka_unit_test(plain),
    };

    return cmocka_run_group_tests(tests, root_make, root_remove);
}
