/* SPDX-License-Identifier: Apache-2.0 */
/* Codecs: damaged and lying payloads, round trips of every codec, and that the split ones pay. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/rng.h"
#include "../../common/wire/zbuf.h"

#define N 4096

/* bf16 or f32 numbers of a normal distribution: what activations look like. */
static void fill(enum dtype t, void *to, size_t n)
{
    struct rng r;

    rng_seed(&r, 5, 0);
    for (size_t i = 0; i < n; i++) {
        float v = (float)rng_normal(&r);

        dtype_from_f32(t, &v, 1, (char *)to + i * dtype_size(t));
    }
}

static void test_names(void **state)
{
    enum zcodec c;

    (void)state;
    assert_int_equal(zbuf_parse("gzip", &c), -1);
    assert_int_equal(zbuf_parse(NULL, &c), -1);
    assert_string_equal(zbuf_name(ZC_COUNT), "?");
    for (int i = 0; i < ZC_COUNT; i++) {
        assert_int_equal(zbuf_parse(zbuf_name((enum zcodec)i), &c), 0);
        assert_int_equal(c, i);
    }
    assert_int_equal(zbuf_best(DT_BF16), ZC_BF16_ZSTD);
    assert_int_equal(zbuf_best(DT_F32), ZC_F32_ZSTD);
    assert_int_equal(zbuf_best(DT_U8), ZC_ZSTD);
}

static void check_refused(enum zcodec c, const void *data, size_t n, size_t raw)
{
    struct err e = {0};
    unsigned char *room = malloc(raw + 1);

    assert_non_null(room);
    room[raw] = 0x5a;
    assert_int_equal(zbuf_unpack(c, data, n, room, raw, &e), -1);
    assert_int_equal(e.kind, ERR_USE);
    assert_int_equal(room[raw], 0x5a);
    free(room);
}

static void test_damaged(void **state)
{
    static float x[N];
    struct err e = {0};

    (void)state;
    fill(DT_F32, x, N);
    assert_int_equal(zbuf_pack(ZC_COUNT, x, 4, (void *[]){NULL}, (size_t[]){0}, &e), -1);
    assert_int_equal(zbuf_pack(ZC_BF16_ZSTD, x, 3, (void *[]){NULL}, (size_t[]){0}, &e), -1);
    assert_int_equal(zbuf_pack(ZC_F32_ZSTD, x, 6, (void *[]){NULL}, (size_t[]){0}, &e), -1);
    for (int i = 0; i < ZC_COUNT; i++) {
        enum zcodec c = (enum zcodec)i;
        unsigned char *packed;
        size_t n;
        uint64_t length;

        assert_int_equal(zbuf_pack(c, x, sizeof x, (void **)&packed, &n, &e), 0);
        for (size_t cut = 0; cut < n; cut += cut < 64 || cut + 64 > n ? 1 : 97)
            check_refused(c, packed, cut, sizeof x);
        check_refused(c, packed, n, sizeof x - 4);
        check_refused(c, packed, n, sizeof x - 1);
        check_refused(c, packed, n, sizeof x + 4);
        check_refused(c, packed, n, 0);
        if (c != ZC_BF16_ZSTD && c != ZC_F32_ZSTD) {
            free(packed);
            continue;
        }
        memcpy(&length, packed, 8);
        for (int bit = 0; bit < 64; bit++) {
            uint64_t lie = length ^ (uint64_t)1 << bit;

            memcpy(packed, &lie, 8);
            check_refused(c, packed, n, sizeof x);
        }
        free(packed);
    }
}

static void test_round_trip(void **state)
{
    static const size_t sizes[] = {0, 4, 8, 12, 1000, N * 4};
    static float x[N];
    static unsigned char back[N * 4];
    struct err e = {0};

    (void)state;
    fill(DT_F32, x, N);
    for (int c = 0; c < ZC_COUNT; c++)
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            void *packed;
            size_t n;

            assert_int_equal(zbuf_pack((enum zcodec)c, x, sizes[i], &packed, &n, &e), 0);
            memset(back, 0, sizeof back);
            assert_int_equal(zbuf_unpack((enum zcodec)c, packed, n, back, sizes[i], &e), 0);
            assert_memory_equal(back, x, sizes[i]);
            free(packed);
        }
}

/* The layout is public: length, frame, low bytes in order. */
static void test_layout(void **state)
{
    uint16_t h[N];
    unsigned char *packed;
    size_t n;
    uint64_t length;
    struct err e = {0};

    (void)state;
    fill(DT_BF16, h, N);
    assert_int_equal(zbuf_pack(ZC_BF16_ZSTD, h, sizeof h, (void **)&packed, &n, &e), 0);
    memcpy(&length, packed, 8);
    assert_int_equal(n, 8 + length + N);
    for (size_t i = 0; i < N; i++)
        assert_int_equal(packed[8 + length + i], h[i] & 255);
    assert_memory_equal(packed + 8, "\x28\xb5\x2f\xfd", 4); /* zstd's magic */
    /* the entropy of sign and exponent of a normal variable is below 4 bits of 8 */
    assert_true(n < sizeof h * 9 / 10);
    free(packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names), cmocka_unit_test(test_damaged),
                                       cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_layout)};

    return cmocka_run_group_tests_name("zbuf", tests, NULL, NULL);
}
