/* SPDX-License-Identifier: Apache-2.0 */
/* GPTQ words, v1 and v2, against those of the official packers (tests/golden/pack), and what must
 * be refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/json.h"
#include "../../common/format/format_gptq.h"
#include "../../common/format/coded.h"
#include "../../common/tensor/safetensors.h"

enum { N = 32, K = 128 };

static void refuses_shapes(void **state)
{
    struct err e = {0};

    (void)state;
    assert_int_equal(gptq_check(32, 32, 3, -1, "w", &e), 0);
    assert_int_equal(gptq_check(48, 32, 2, 16, "w", &e), 0);
    assert_int_equal(gptq_check(32, 128, 4, 64, "w", &e), 0);
    assert_int_equal(gptq_check(32, 32, 5, -1, "w", &e), -1);
    assert_non_null(strstr(e.text, "'w'"));
    assert_int_equal(gptq_check(32, 48, 3, -1, "w", &e), -1);
    assert_non_null(strstr(e.text, "48 inputs"));
    assert_int_equal(gptq_check(16, 96, 3, -1, "w", &e), -1);
    assert_non_null(strstr(e.text, "16 outputs"));
    assert_int_equal(gptq_check(32, 36, 4, -1, "w", &e), -1);
    assert_int_equal(gptq_check(36, 32, 4, -1, "w", &e), -1);
    assert_int_equal(gptq_check(32, 8, 2, -1, "w", &e), -1);
    assert_int_equal(gptq_check(2, 32, 8, -1, "w", &e), -1);
    assert_int_equal(gptq_check(0, 32, 4, -1, "w", &e), -1);
    assert_int_equal(gptq_check(32, 128, 4, 48, "w", &e), -1);
    assert_non_null(strstr(e.text, "group 48"));
    assert_int_equal(gptq_check(32, 128, 4, 0, "w", &e), -1);
    assert_int_equal(gptq_check(32, 128, 4, 256, "w", &e), -1);
    assert_int_equal(e.kind, ERR_USE);
}

static void refuses_values(void **state)
{
    uint8_t codes[32 * 32], zeros[32];
    uint32_t words[32 * 32];
    struct err e = {0};

    (void)state;
    memset(codes, 15, sizeof codes);
    assert_int_equal(gptq_pack_codes(32, 32, 4, codes, words), 0);
    codes[77] = 16;
    assert_int_equal(gptq_pack_codes(32, 32, 4, codes, words), -1);
    assert_int_equal(gptq_pack_codes(32, 32, 7, codes, words), -1);
    memset(zeros, 16, sizeof zeros);
    assert_int_equal(gptq_pack_zeros(32, 1, 4, 1, zeros, words, "w", &e), 0);
    zeros[3] = 17;
    assert_int_equal(gptq_pack_zeros(32, 1, 4, 1, zeros, words, "w", &e), -1);
    assert_non_null(strstr(e.text, "17"));
    zeros[3] = 0;
    assert_int_equal(gptq_pack_zeros(32, 1, 4, 1, zeros, words, "w", &e), -1);
    assert_non_null(strstr(e.text, "zero point 0 (row 3, group 0)"));
    assert_int_equal(gptq_pack_zeros(32, 1, 4, 0, zeros, words, "w", &e), -1); /* 16s: v2 */
    assert_non_null(strstr(e.text, "16"));
    memset(words, 0xff, sizeof words);
    assert_int_equal(gptq_unpack_zeros(32, 1, 8, 1, words, zeros), -1);
}

/* Widths whose inputs are no multiple of 32: the last words stand for fewer codes. */
static void short_tails(void **state)
{
    static const struct {
        int bits;
        size_t inputs;
    } cases[] = {{2, 48}, {4, 40}, {8, 36}, {8, 4}, {4, 8}};
    uint8_t codes[32 * 48], back[32 * 48];
    uint32_t words[32 * 48];
    struct err e = {0};

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        size_t n = 32 * cases[c].inputs;

        for (size_t i = 0; i < n; i++)
            codes[i] = (uint8_t)(i * 7 % (1u << cases[c].bits));
        assert_int_equal(gptq_check(32, cases[c].inputs, cases[c].bits, -1, "w", &e), 0);
        assert_int_equal(gptq_pack_codes(32, cases[c].inputs, cases[c].bits, codes, words), 0);
        assert_int_equal(gptq_unpack_codes(32, cases[c].inputs, cases[c].bits, words, back), 0);
        assert_memory_equal(back, codes, n);
        /* the last code of the last row ends the last word */
        assert_int_equal(words[n * (size_t)cases[c].bits / 32 - 1] >> (32 - cases[c].bits),
                         codes[n - 1]);
    }
}

static const struct tensor *load(const struct st_set *s, const char *id, const char *part,
                                 struct tensor *t)
{
    char name[TENSOR_NAME];
    struct err e = {0};
    const struct st_entry *x;

    snprintf(name, sizeof name, "%s.%s", id, part);
    assert_non_null(x = st_find(s, name));
    assert_int_equal(st_load(s, x, t, &e), 0);
    return t;
}

static void check_case(const struct st_set *s, const char *id, int bits, int64_t group, int act,
                       int storable)
{
    struct tensor codes, in_zeros, qweight, qzeros, qzeros_v2, scales, Wq;
    size_t G = grid_groups(K, group);
    uint8_t zeros[N * 4], back_codes[N * K], back_zeros[N * 4];
    uint32_t words[N * K];
    uint16_t by_row[N * 4];
    float w[N * K];
    struct err e = {0};

    load(s, id, "codes", &codes);
    load(s, id, "in_zeros", &in_zeros);
    load(s, id, "qweight", &qweight);
    load(s, id, "qzeros", &qzeros);
    load(s, id, "qzeros_v2", &qzeros_v2);
    load(s, id, "scales", &scales);
    load(s, id, "Wq", &Wq);
    assert_true(G <= 4);
    for (size_t i = 0; i < N * G; i++)
        zeros[i] = (uint8_t)((const int32_t *)in_zeros.data)[i];
    assert_int_equal(gptq_check(N, K, bits, group, id, &e), 0);
    assert_int_equal(qweight.bytes, (size_t)K * (size_t)bits / 32 * N * 4);
    assert_int_equal(gptq_pack_codes(N, K, bits, codes.data, words), 0);
    assert_memory_equal(words, qweight.data, qweight.bytes);
    assert_int_equal(gptq_unpack_codes(N, K, bits, qweight.data, back_codes), 0);
    assert_memory_equal(back_codes, codes.data, N * K);
    assert_int_equal(gptq_pack_zeros(N, G, bits, 1, zeros, words, id, &e), storable ? 0 : -1);
    if (storable) {
        assert_int_equal(qzeros.bytes, G * N * (size_t)bits / 32 * 4);
        assert_memory_equal(words, qzeros.data, qzeros.bytes);
        assert_int_equal(gptq_unpack_zeros(N, G, bits, 1, qzeros.data, back_zeros), 0);
        assert_memory_equal(back_zeros, zeros, N * G);
    }
    assert_int_equal(gptq_pack_zeros(N, G, bits, 0, zeros, words, id, &e), 0);
    assert_memory_equal(words, qzeros_v2.data, qzeros_v2.bytes);
    assert_int_equal(gptq_unpack_zeros(N, G, bits, 0, qzeros_v2.data, back_zeros), 0);
    assert_memory_equal(back_zeros, zeros, N * G);
    if (!act) { /* act-order goldens permute the groups, which codes leave out */
        for (size_t n = 0; n < N; n++)
            for (size_t g = 0; g < G; g++)
                by_row[n * G + g] = ((const uint16_t *)scales.data)[g * N + n];
        assert_int_equal(coded_decode(&(struct coded){.grid = grid_find("asym"),
                                                      .N = N,
                                                      .K = K,
                                                      .G = G,
                                                      .bits = bits,
                                                      .group = group,
                                                      .codes = codes.data,
                                                      .scale_type = DT_F16,
                                                      .scales = by_row,
                                                      .zeros = zeros},
                                      0, N, w, &e),
                         0);
        assert_memory_equal(w, Wq.data, Wq.bytes);
    }
    tensor_release(&codes);
    tensor_release(&in_zeros);
    tensor_release(&qweight);
    tensor_release(&qzeros);
    tensor_release(&qzeros_v2);
    tensor_release(&scales);
    tensor_release(&Wq);
}

static void equals_goldens(void **state)
{
    struct err e = {0};
    struct json *manifest = json_read("tests/golden/pack/manifest.json", &e);
    struct st_set *s = st_open("tests/golden/pack/gptq.safetensors", &e);
    const struct json *cases = json_get(manifest, "cases");

    (void)state;
    assert_non_null(manifest);
    assert_non_null(s);
    assert_int_equal(json_count(cases), 19);
    for (size_t i = 0; i < json_count(cases); i++) {
        const struct json *c = json_at(cases, i);
        int64_t bits, group, least;
        int act;

        assert_int_equal(json_need_int(c, "bits", 2, 8, &bits, "case", &e), 0);
        assert_int_equal(json_need_int(c, "group_size", -1, K, &group, "case", &e), 0);
        assert_int_equal(json_need_int(c, "zeros_min", 0, 255, &least, "case", &e), 0);
        assert_int_equal(json_opt_bool(c, "desc_act", 0, &act, "case", &e), 0);
        check_case(s, json_as_text(json_get(c, "id")), (int)bits, group, act, least > 0);
    }
    st_close(&s);
    json_destroy(&manifest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_shapes),
        cmocka_unit_test(refuses_values),
        cmocka_unit_test(short_tails),
        cmocka_unit_test(equals_goldens),
    };

    return cmocka_run_group_tests_name("gptq_format", tests, NULL, NULL);
}
