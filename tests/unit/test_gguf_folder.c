/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_folder: files that llama.cpp's own Python package wrote (tests/golden/gguf/make_models.py)
 * are read as the checkpoints that they are of, number by number, whole and in pieces; what their
 * metadata say becomes a config that the model reads; blocks are codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/fs.h"
#include "../../common/format/packed.h"
#include "../../common/model/config_read.h"
#include "../../common/model/family.h"
#include "../../common/tensor/gguf_folder.h"
#include "../../common/text/model_file.h"

#define GOLDEN "tests/golden/gguf/"

static float *values(const struct st_set *s, const struct st_entry *x, size_t *n)
{
    struct err e = {0};
    float *v;

    *n = (size_t)x->shape[0] * (x->ndim > 1 ? (size_t)x->shape[1] : 1);
    v = malloc(*n * sizeof *v);
    if (st_load_rows_f32(s, x, 0, x->shape[0], v, &e))
        fail_msg("%s", e.text);
    return v;
}

/* A row from the middle, the last numbers of all, and a part as a matrix of its own. */
static void pieces(const struct st_set *s, const struct st_entry *x, const float *all, size_t n)
{
    const uint64_t mid = x->shape[0] / 2 + 1 < x->shape[0] ? x->shape[0] / 2 + 1 : 0;
    const size_t width = x->ndim > 1 ? (size_t)x->shape[1] : 1, size = dtype_size(x->dtype);
    struct st_entry part;
    struct err e = {0};
    float row[64];
    uint8_t raw[8];
    float last;

    assert_int_equal(st_load_rows_f32(s, x, mid, 1, row, &e), 0);
    assert_memory_equal(row, all + mid * width, width * sizeof *row);
    assert_int_equal(st_span(s, x, raw, size, x->bytes - size, &e), 0);
    dtype_to_f32(x->dtype, raw, 1, &last);
    assert_memory_equal(&last, all + n - 1, sizeof last);
    if (x->ndim != 2)
        return;
    assert_int_equal(st_cut(s, x, mid, 1, &part, &e), 0);
    assert_int_equal(st_load_rows_f32(s, &part, 0, 1, row, &e), 0);
    assert_memory_equal(row, all + mid * width, width * sizeof *row);
}

static void same_tensors(const char *name)
{
    char file[96], golden[96];
    struct err e = {0};
    struct st_set *s, *want = NULL;

    snprintf(file, sizeof file, GOLDEN "%s.gguf", name);
    snprintf(golden, sizeof golden, GOLDEN "%s.safetensors", name);
    if (!(s = st_open_folder(file, &e)) || !(want = st_open(golden, &e)))
        fail_msg("%s", e.text);
    assert_int_equal(s->count, want->count);
    for (size_t i = 0; i < s->count; i++) {
        const struct st_entry *x = &s->entries[i], *y = st_find(want, x->name);
        size_t n, m;
        float *a, *b;

        if (!y)
            fail_msg("%s: '%s' is no tensor of the checkpoint", name, x->name);
        a = values(s, x, &n);
        b = values(want, y, &m);
        assert_int_equal(n, m);
        if (memcmp(a, b, n * sizeof *a) != 0)
            fail_msg("%s: '%s' has other numbers", name, x->name);
        pieces(s, x, a, n);
        free(a);
        free(b);
    }
    st_close(&want);
    st_close(&s);
}

static void tensors(void **state)
{
    static const char *const names[] = {"llama", "mixtral", "qwen3moe", "gemma2", "gemma3", "phi3"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        same_tensors(names[i]);
}

static void config_of(const char *name, struct config *c)
{
    char file[96];
    struct err e = {0};

    snprintf(file, sizeof file, GOLDEN "%s.gguf", name);
    if (config_read(file, c, &e))
        fail_msg("%s", e.text);
}

static void configs(void **state)
{
    struct config c;

    (void)state;
    config_of("qwen3moe", &c);
    assert_string_equal(c.model_type, "qwen3_moe");
    assert_true(c.experts == 2 && c.experts_top == 2 && c.expert_ff == 32 && c.experts_normalized);
    assert_false(json_has(c.file, "nothing"));
    config_release(&c);
    config_of("mixtral", &c);
    assert_true(c.experts == 2 && c.block[0] & BLOCK_EXPERTS);
    assert_false(json_has(c.file, "quantization_config"));
    config_release(&c);
    config_of("llama", &c);
    assert_string_equal(json_text_or(json_get(c.file, "quantization_config"), "quant_method", ""),
                        "gguf");
    assert_true(!c.tied && c.eos == 4);
    config_release(&c);
    config_of("gemma2", &c);
    assert_true(c.tied && c.attention_cap == 50 && c.logit_cap == 30 && c.window == 8);
    assert_int_equal(config_window(&c, 0), 8);
    config_release(&c);
    config_of("gemma3", &c);
    assert_true(c.rope.type == ROPE_LINEAR && c.rope.factor == 8 && c.rope.theta == 1e6);
    assert_true(c.rope_window.type == ROPE_DEFAULT && c.rope_window.theta == 10000);
    assert_true(c.attention_cap == 0 && c.qk_norm == QK_NORM_HEADS);
    config_release(&c);
    config_of("phi3", &c);
    assert_true(c.rope.type == ROPE_LONGROPE && c.rope.width == 8 && c.rope.original == 32);
    assert_true(c.rope.brief[2] == 1.25 && c.rope.extended[3] == 4.25 &&
                (float)c.rope.scale == 1.0954451F);
    assert_int_equal(config_window(&c, 0), 0);
    config_release(&c);
}

/* The codes say the same weights; of an F16 linear there are none. */
static void codes(void **state)
{
    static const char q[] = "model.layers.0.self_attn.q_proj";
    struct err e = {0};
    struct config c;
    struct st_set *s;
    struct format_reader *r;
    struct packed p;
    float have[32 * 32], want[32 * 32];

    (void)state;
    config_of("llama", &c);
    assert_non_null(s = st_open_folder(GOLDEN "llama.gguf", &e));
    assert_non_null(r = format_open(c.file, GOLDEN "llama.gguf", s, &e));
    assert_string_equal(format_of(r)->name, "gguf");
    assert_int_equal(format_find_linear(r, q, 32, 64, &e), -1);
    assert_non_null(strstr(e.text, "shape"));
    assert_int_equal(format_find_linear(r, q, 32, 32, &e), 0);
    assert_int_equal(format_read_linear(r, q, 32, 32, &p, &e), 1);
    assert_true(p.bits == 4 && p.group == 32 && p.scale_type == DT_F16);
    assert_int_equal(packed_weights(&p, have, &e), 0);
    assert_int_equal(
        st_load_rows_f32(s, st_find(s, "model.layers.0.self_attn.q_proj.weight"), 0, 32, want, &e),
        0);
    assert_memory_equal(have, want, sizeof have);
    packed_release(&p);
    assert_int_equal(format_read_linear(r, "model.layers.0.mlp.up_proj", 32, 32, &p, &e), 0);
    format_close(&r);
    st_close(&s);
    config_release(&c);
}

static void files(void **state)
{
    struct err e = {0};
    size_t n;

    (void)state;
    assert_true(model_file_is(GOLDEN "llama.gguf", "tokenizer.json"));
    assert_false(model_file_is(GOLDEN "llama.gguf", "preprocessor_config.json"));
    assert_null(model_file_read(GOLDEN "llama.gguf", "preprocessor_config.json", 99, &n, &e));
    assert_non_null(strstr(e.text, "says nothing of what preprocessor_config.json would"));
    assert_true(model_is_folder("tests/golden") && !model_is_folder(GOLDEN "llama.gguf"));
    assert_null(gguf_path("tests/golden/gguf")); /* several */
    assert_null(gguf_path("tests/golden/gguf/llama.safetensors"));
    assert_null(gguf_path("none"));
}

/* What a family says of its files is of that family, and no tensor of either side stands for
 * two. */
static void architectures(void **state)
{
    const struct gguf_arch *a;
    const struct gguf_name *x, *y;
    size_t count = 0;

    (void)state;
    for (; (a = gguf_arch_at(count)); count++) {
        const struct family *f = family_find(a->model_type);

        assert_true(f && f->gguf == a);
        assert_string_equal(f->architecture, a->class);
        for (size_t i = 0; (x = gguf_name_block(a, i)); i++)
            for (size_t k = 0; k < i && (y = gguf_name_block(a, k)); k++)
                assert_true(strcmp(x->file, y->file) && strcmp(x->model, y->model));
    }
    assert_int_equal(count, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tensors), cmocka_unit_test(configs),
                                       cmocka_unit_test(codes), cmocka_unit_test(files),
                                       cmocka_unit_test(architectures)};

    return cmocka_run_group_tests_name("gguf_folder", tests, NULL, NULL);
}
