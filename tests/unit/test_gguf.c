/* SPDX-License-Identifier: Apache-2.0 */
/* gguf: what is refused and why, every value type, and the decoders against the official
 * quantizers' bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../../common/base/fs.h"
#include "../../common/tensor/gguf.h"
#include "../../common/tensor/safetensors.h"
#include "gguf_build.h"
#include "shared.h"

static void refused_at(struct gb *b, size_t length, uint64_t file_bytes, const char *word)
{
    struct err e = {0};
    struct gguf *g = gguf_parse(b->bytes, length, file_bytes, "bad.gguf", &e);

    assert_null(g);
    assert_int_equal(e.kind, ERR_USE);
    if (!strstr(e.text, word) || !strstr(e.text, "bad.gguf"))
        print_message("'%s' is not in '%s'\n", word, e.text);
    assert_non_null(strstr(e.text, "bad.gguf"));
    assert_non_null(strstr(e.text, word));
}

static void refused(struct gb *b, const char *word)
{
    refused_at(b, b->n, b->n, word);
    gb_free(b);
}

static void bad_heads(void **state)
{
    struct gb b;
    uint64_t many = UINT64_MAX;

    (void)state;
    gb_start(&b);
    refused_at(&b, 0, 0, "truncated");
    refused_at(&b, 7, 7, "truncated");
    refused_at(&b, 23, 23, "truncated");
    b.bytes[0] = 'X';
    refused(&b, "not a GGUF file");
    gb_start(&b);
    b.bytes[4] = 1;
    refused(&b, "version 1");
    gb_start(&b);
    memcpy(b.bytes + 4, "\0\0\0\3", 4);
    refused(&b, "big-endian");
    gb_start(&b);
    memcpy(b.bytes + 8, &many, 8);
    refused(&b, "tensors");
    gb_start(&b);
    memcpy(b.bytes + 16, &many, 8);
    refused(&b, "keys");
    many = 5;
    gb_start(&b);
    gb_put(&b, "12345678901234567890", 20);
    memcpy(b.bytes + 16, &many, 8);
    refused(&b, "keys, more than the file can hold");
}

static void bad_keys(void **state)
{
    struct gb b;
    uint32_t v = 7;

    (void)state;
    gb_start(&b);
    gb_key_u32(&b, "", 1);
    refused(&b, "metadata key of 0 bytes");
    gb_start(&b);
    gb_key_u32(&b, "a", 1);
    gb_key_u32(&b, "a", 2);
    refused(&b, "'a' is there twice");
    gb_start(&b);
    gb_key(&b, "a", 13);
    gb_u64(&b, 0);
    refused(&b, "value type 13");
    gb_start(&b);
    gb_key_bool(&b, "a", 2);
    gb_u64(&b, 0);
    refused(&b, "truth value");
    gb_start(&b);
    gb_key_text(&b, "a", "\xff\xfe");
    refused(&b, "UTF-8");
    gb_start(&b);
    gb_key_u32(&b, "\xff\xfe", 0);
    refused(&b, "UTF-8");
    gb_start(&b);
    gb_key(&b, "a", 8);
    gb_u64(&b, UINT64_MAX);
    refused(&b, "truncated at a");
    gb_start(&b);
    gb_key(&b, "a", 9);
    gb_put(&b, &v, 4);
    gb_u64(&b, 1000);
    refused(&b, "1000 items");
    gb_start(&b);
    gb_key(&b, "a", 9);
    gb_u32(&b, 5);
    gb_u64(&b, UINT64_MAX);
    refused(&b, "items");
    gb_start(&b);
    gb_key(&b, "a", 9);
    gb_u32(&b, 9);
    gb_u64(&b, 0);
    refused(&b, "array of arrays");
    gb_start(&b);
    gb_key_u32(&b, "general.alignment", 48);
    refused(&b, "power of two");
    gb_start(&b);
    gb_key_u32(&b, "general.alignment", 0);
    refused(&b, "general.alignment");
}

static void bad_tensors(void **state)
{
    struct gb b;
    float data[8] = {0};

    (void)state;
    gb_start(&b);
    gb_tensor(&b, "x", 0, 0, 8, 32);
    gb_tensor(&b, "x", 0, 0, 8, 32);
    gb_data(&b, data, 32);
    gb_data(&b, data, 32);
    refused(&b, "'x' is there twice");
    gb_start(&b);
    gb_tensor(&b, "x", 99, 0, 8, 32);
    refused(&b, "type 99");
    gb_start(&b);
    gb_tensor(&b, "x", GGUF_Q8_0, 1, 33, 64);
    refused(&b, "blocks of 32");
    gb_start(&b);
    gb_tensor(&b, "x", 0, UINT64_C(1) << 40, UINT64_C(1) << 40, 0);
    refused(&b, "too large");
    gb_start(&b);
    gb_tensor(&b, "x", 0, 0, UINT64_MAX, 0);
    refused(&b, "too large");
    gb_start(&b);
    gb_tensor(&b, "x", 0, 0, 8, 32);
    gb_data(&b, data, 31);
    refused(&b, "'x' needs 32 bytes");
    gb_start(&b);
    b.offset = 32;
    gb_tensor(&b, "x", 0, 0, 8, 32);
    gb_data(&b, data, 32);
    refused(&b, "begins at 32");
    gb_start(&b);
    gb_tensor(&b, "x", 0, 0, 8, 0);
    gb_tensor(&b, "y", 0, 0, 8, 0);
    gb_data(&b, data, 32);
    refused(&b, "'y' begins at 0");
    gb_start(&b);
    gb_text(&b, "x");
    gb_u32(&b, 5);
    gb_put(&b, data, 32);
    b.tensors = 1;
    gb_count(&b);
    refused(&b, "5 dimensions");
}

/* Every prefix of a good file is refused or, where only padding is missing, read: never a crash. */
static void every_prefix(void **state)
{
    static const char *const texts[] = {"one", "two"};
    struct gb b;
    float data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct err e = {0};

    (void)state;
    gb_start(&b);
    gb_key_texts(&b, "t", texts, 2);
    gb_key_f32(&b, "f", 0.5f);
    gb_tensor(&b, "x", 0, 2, 4, 32);
    gb_data(&b, data, 32);
    for (size_t n = 0; n < b.n; n++) {
        unsigned char *copy = malloc(n ? n : 1);

        memcpy(copy, b.bytes, n);
        assert_null(gguf_parse(copy, n, n, "cut", &e));
        assert_non_null(strstr(e.text, "cut"));
        free(copy);
    }
    gb_free(&b);
}

static void values(void **state)
{
    static const char *const texts[] = {"one", ""};
    struct gb b;
    struct err e = {0};
    struct gguf *g;
    int64_t i;
    double r;

    (void)state;
    gb_start(&b);
    gb_key(&b, "u8", 0), gb_put(&b, "\xff", 1);
    gb_key(&b, "i8", 1), gb_put(&b, "\xff", 1);
    gb_key(&b, "u16", 2), gb_put(&b, "\xff\xff", 2);
    gb_key(&b, "i16", 3), gb_put(&b, "\xfe\xff", 2);
    gb_key_u32(&b, "u32", UINT32_MAX);
    gb_key(&b, "i32", 5), gb_u32(&b, UINT32_MAX);
    gb_key_f32(&b, "f32", 0.25f);
    gb_key_bool(&b, "bool", 1);
    gb_key_texts(&b, "texts", texts, 2);
    gb_key(&b, "u64", 10), gb_u64(&b, 1ull << 60);
    gb_key(&b, "i64", 11), gb_u64(&b, UINT64_MAX);
    gb_key(&b, "f64", 12), r = 0.1, gb_put(&b, &r, 8);
    g = gguf_parse(b.bytes, b.n, b.n, "good", &e);
    assert_non_null(g);
    assert_true(json_as_int(json_get(g->meta, "u8"), &i) == 0 && i == 255);
    assert_true(json_as_int(json_get(g->meta, "i8"), &i) == 0 && i == -1);
    assert_true(json_as_int(json_get(g->meta, "u16"), &i) == 0 && i == 65535);
    assert_true(json_as_int(json_get(g->meta, "i16"), &i) == 0 && i == -2);
    assert_true(json_as_int(json_get(g->meta, "u32"), &i) == 0 && i == UINT32_MAX);
    assert_true(json_as_int(json_get(g->meta, "i32"), &i) == 0 && i == -1);
    assert_true(json_as_int(json_get(g->meta, "u64"), &i) == 0 && i == (int64_t)1 << 60);
    assert_true(json_as_int(json_get(g->meta, "i64"), &i) == 0 && i == -1);
    assert_true(json_as_real(json_get(g->meta, "f32"), &r) == 0 && r == 0.25);
    assert_true(json_as_real(json_get(g->meta, "f64"), &r) == 0 && r == 0.1);
    assert_int_equal(json_kind(json_get(g->meta, "bool")), JSON_KIND_BOOL);
    assert_string_equal(json_as_text(json_at(json_get(g->meta, "texts"), 0)), "one");
    gguf_close(&g);
    gguf_close(&g);
    gb_free(&b);
}

/* Metadata longer than what is read at first. */
static void long_header(void **state)
{
    char path[] = "/tmp/ptq-test-gguf-XXXXXX";
    int fd = mkstemp(path);
    uint64_t n = 5 << 20, head[3] = {0, 1, 1};
    char *text = malloc(n);
    struct err e = {0};
    struct gguf *g;
    FILE *f = fdopen(fd, "wb");

    (void)state;
    memset(text, 'x', n);
    fwrite("GGUF\3\0\0", 8, 1, f);
    fwrite(head, 16, 1, f);
    fwrite(&head[1], 8, 1, f);
    fwrite("k\10\0\0", 5, 1, f);
    fwrite(&n, 8, 1, f);
    fwrite(text, n, 1, f);
    fclose(f);
    g = gguf_open(path, &e);
    assert_non_null(g);
    assert_int_equal(e.kind, ERR_NONE);
    assert_int_equal(json_text_length(json_get(g->meta, "k")), n);
    gguf_close(&g);
    assert_int_equal(truncate(path, (off_t)(n - 1)), 0);
    assert_null(gguf_open(path, &e));
    assert_non_null(strstr(e.text, "truncated"));
    assert_null(gguf_open("/tmp", &e));
    assert_null(gguf_open("/no/such.gguf", &e));
    assert_int_equal(e.kind, ERR_USE);
    unlink(path);
    free(text);
}

static void decoders(void **state)
{
    unsigned char q[34] = {0x00, 0x38}; /* d = 0.5 */
    float v[32];

    (void)state;
    q[2] = 0x80;
    q[33] = 3;
    assert_int_equal(gguf_decode(GGUF_Q8_0, q, 32, v), 0);
    assert_true(v[0] == -64 && v[31] == 1.5f);
    q[2] = 0xF0;
    assert_int_equal(gguf_decode(GGUF_Q4_0, q, 32, v), 0);
    assert_true(v[0] == -4 && v[16] == 3.5f);
    q[2] = 0x00, q[3] = 0xBC, q[4] = 0xF1; /* m = -1 */
    assert_int_equal(gguf_decode(GGUF_Q4_1, q, 32, v), 0);
    assert_true(v[0] == -0.5f && v[16] == 6.5f);
    assert_int_equal(gguf_decode(GGUF_Q8_0, q, 31, v), -1);
    assert_int_equal(gguf_decode(GGUF_Q6_K, q, 255, v), -1);
    assert_int_equal(gguf_decode(16, q, 256, v), -1); /* IQ2_XXS: known, no decoder */
    assert_int_equal(gguf_decode(4, q, 32, v), -1);
    assert_string_equal(gguf_type_find(GGUF_Q6_K)->name, "Q6_K");
    assert_null(gguf_type_find(4));
}

/* Each NAME.bytes of a file of goldens, decoded, is NAME.dequant to the bit; the name's kind is a
 * part of it. Returns how many there were. */
static size_t goldens_check(const char *path)
{
    struct err e = {0};
    struct st_set *s = st_open(path, &e);
    size_t cases = 0;

    assert_non_null(s);
    for (size_t i = 0; i < s->count; i++)
        for (uint32_t type = 2; type < 24; type++) {
            const struct gguf_type_info *t = gguf_type_find(type);
            const char *name = s->entries[i].name, *end = strrchr(name, '.');
            char other[TENSOR_NAME];
            struct tensor bytes, want;
            float *have;

            if (!t || !strstr(name, t->name) || !end || strcmp(end, ".bytes"))
                continue;
            snprintf(other, sizeof other, "%.*s.dequant", (int)(end - name), name);
            if (!st_find(s, other))
                continue;
            assert_int_equal(st_load(s, &s->entries[i], &bytes, &e), 0);
            assert_int_equal(st_load(s, st_find(s, other), &want, &e), 0);
            assert_int_equal(bytes.bytes, tensor_elements(&want) / t->elements * t->bytes);
            have = malloc(want.bytes);
            assert_int_equal(gguf_decode(type, bytes.data, tensor_elements(&want), have), 0);
            assert_memory_equal(have, want.data, want.bytes);
            free(have);
            tensor_release(&bytes);
            tensor_release(&want);
            cases++;
        }
    st_close(&s);
    return cases;
}

static void golden_blocks(void **state)
{
    (void)state;
    assert_int_equal(goldens_check("tests/golden/gguf/blocks.safetensors"), 12);
}

static void golden_pack(void **state)
{
    shared_or_skip(path, "data/golden-pack/gguf.safetensors");

    (void)state;
    assert_int_equal(goldens_check(path), 11);
}

/* The reference's Q8_0 of 32 values: the quotient takes 1/d from d before it is rounded to f16. */
static void q8_0_block(const float *x, unsigned char out[34])
{
    float most = 0, d, inverse;
    uint16_t h;

    for (int i = 0; i < 32; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    d = most / 127;
    inverse = d > 0 ? 1 / d : 0;
    h = f32_to_f16(d);
    memcpy(out, &h, 2);
    for (int i = 0; i < 32; i++)
        out[2 + i] = (unsigned char)(int8_t)roundf(x[i] * inverse);
}

static size_t golden_tensor(const struct gguf *g, const struct st_set *s, const char *from,
                            const char *to, int heads)
{
    const struct gguf_entry *x = gguf_find(g, from);
    const struct st_entry *y = st_find(s, to);
    struct err e = {0};
    struct tensor w;
    size_t width, blocks, wrong = 0;
    unsigned char *raw;
    float *have;

    assert_true(x && y && x->type == GGUF_Q8_0);
    assert_int_equal(st_load(s, y, &w, &e), 0);
    width = (size_t)y->shape[1];
    blocks = tensor_elements(&w) / 32;
    raw = malloc(blocks * 34);
    have = malloc(blocks * 32 * 4);
    assert_int_equal(fs_pread_all(g->fd, raw, blocks * 34, x->offset, from, &e), 0);
    assert_int_equal(gguf_load_f32(g, x, have, &e), 0);
    for (size_t r = 0; r < y->shape[0]; r++) {
        size_t hd = heads ? (size_t)y->shape[0] / (size_t)heads : 0, in = heads ? r % hd : 0;
        /* row of the checkpoint that the file has at r */
        size_t src = heads ? r - in + in / 2 + in % 2 * (hd / 2) : r;

        for (size_t b = 0; b < width / 32; b++) {
            unsigned char want[34];
            const unsigned char *at = raw + (r * width / 32 + b) * 34;
            float v[32];

            q8_0_block((const float *)w.data + src * width + b * 32, want);
            wrong += memcmp(want, at, 34) != 0;
            gguf_decode(GGUF_Q8_0, want, 32, v);
            assert_memory_equal(v, have + r * width + b * 32, sizeof v);
        }
    }
    assert_int_equal(wrong, 0);
    free(raw);
    free(have);
    tensor_release(&w);
    return blocks * 32;
}

static void golden_q8_0(void **state)
{
    shared_or_skip(gguf, "data/tinystories-656k-gguf/TinyStories-656K-Q8_0.gguf");
    shared_or_skip(st, "data/tinystories-656k/model.safetensors");
    static const char *const rules[][2] = {
        {"attn_q", "self_attn.q_proj"}, {"attn_k", "self_attn.k_proj"},
        {"attn_v", "self_attn.v_proj"}, {"attn_output", "self_attn.o_proj"},
        {"ffn_gate", "mlp.gate_proj"},  {"ffn_up", "mlp.up_proj"},
        {"ffn_down", "mlp.down_proj"}};
    static const int heads[] = {8, 4, 0, 0, 0, 0, 0};
    struct err e = {0};
    struct gguf *g = gguf_open(gguf, &e);
    struct st_set *s = st_open(st, &e);
    size_t n;

    (void)state;
    assert_true(g && s);
    n = golden_tensor(g, s, "token_embd.weight", "lm_head.weight", 0);
    for (int l = 0; l < 2; l++)
        for (size_t i = 0; i < 7; i++) {
            char from[64], to[64];

            snprintf(from, sizeof from, "blk.%d.%s.weight", l, rules[i][0]);
            snprintf(to, sizeof to, "model.layers.%d.%s.weight", l, rules[i][1]);
            n += golden_tensor(g, s, from, to, heads[i]);
        }
    assert_int_equal(n, 655360);
    gguf_close(&g);
    st_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_heads),     cmocka_unit_test(bad_keys),
        cmocka_unit_test(bad_tensors),   cmocka_unit_test(every_prefix),
        cmocka_unit_test(values),        cmocka_unit_test(long_header),
        cmocka_unit_test(decoders),      cmocka_unit_test(golden_pack),
        cmocka_unit_test(golden_blocks), cmocka_unit_test(golden_q8_0),
    };

    return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}
