/* SPDX-License-Identifier: Apache-2.0 */
/* Element types: names, and conversions against the exact arithmetic of wider types. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../common/base/rng.h"
#include "../../common/tensor/dtype.h"

static void test_names(void **state)
{
    enum dtype t;

    (void)state;
    assert_int_equal(dtype_parse("F8_E5M2", &t), -1);
    assert_int_equal(dtype_parse("", &t), -1);
    assert_int_equal(dtype_parse(NULL, &t), -1);
    assert_int_equal(dtype_size(DT_COUNT), 0);
    assert_int_equal(dtype_is_float(DT_COUNT), 0);
    assert_string_equal(dtype_name(DT_COUNT), "?");
    for (int i = 0; i < DT_COUNT; i++) {
        assert_int_equal(dtype_parse(dtype_name((enum dtype)i), &t), 0);
        assert_int_equal(t, i);
        assert_true(dtype_size(t) >= 1 && dtype_size(t) <= 8);
    }
    assert_int_equal(dtype_size(DT_BF16), 2);
    assert_int_equal(dtype_size(DT_F64), 8);
}

static void test_not_float(void **state)
{
    int32_t x = 1;
    float f;
    double d;

    (void)state;
    assert_int_equal(dtype_to_f32(DT_I32, &x, 1, &f), -1);
    assert_int_equal(dtype_to_f64(DT_BOOL, &x, 1, &d), -1);
    assert_int_equal(dtype_from_f32(DT_U8, &f, 0, &x), -1);
    assert_int_equal(dtype_from_f64(DT_I64, &d, 0, &x), -1);
}

/* The value of an f16 by its definition. */
static double f16_value(unsigned h)
{
    int exponent = (int)(h >> 10 & 31);
    double mant = h & 0x3ff, v;

    if (exponent == 31)
        v = mant > 0 ? NAN : INFINITY;
    else
        v = exponent ? ldexp(1024 + mant, exponent - 25) : ldexp(mant, -24);
    return h & 0x8000 ? -v : v;
}

static void test_f16_all(void **state)
{
    static uint16_t all[65536], back[65536];
    static float wide[65536];
    static double wider[65536];

    (void)state;
    for (unsigned i = 0; i < 65536; i++)
        all[i] = (uint16_t)i;
    assert_int_equal(dtype_to_f32(DT_F16, all, 65536, wide), 0);
    assert_int_equal(dtype_to_f64(DT_F16, all, 65536, wider), 0);
    for (unsigned i = 0; i < 65536; i++) {
        double v = f16_value(i);
        float one = f16_to_f32((uint16_t)i);

        /* the CPU's instruction and the portable code agree, NaN included */
        assert_memory_equal(&one, &wide[i], 4);
        if (isnan(v)) {
            assert_true(isnan(wide[i]) && isnan(wider[i]));
            assert_true(isnan(f16_to_f32(f32_to_f16(wide[i]))));
            continue;
        }
        assert_true((double)wide[i] == v && wider[i] == v && !signbit(wide[i]) == !signbit(v));
        assert_int_equal(f32_to_f16(wide[i]), i);
    }
    assert_int_equal(dtype_from_f32(DT_F16, wide, 65536, back), 0);
    for (unsigned i = 0; i < 65536; i++)
        assert_true(back[i] == i || isnan(wide[i]));
    assert_int_equal(dtype_from_f64(DT_F16, wider, 65536, back), 0);
    for (unsigned i = 0; i < 65536; i++)
        assert_true(back[i] == i || isnan(wide[i]));
}

static void test_bf16_all(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 65536; i++) {
        float v = bf16_to_f32((uint16_t)i);

        if (isnan(v))
            assert_true(isnan(bf16_to_f32(f32_to_bf16(v))));
        else
            assert_int_equal(f32_to_bf16(v), i);
    }
    assert_true(isnan(bf16_to_f32(f32_to_bf16(NAN))));
    uint32_t low_payload = 0x7f800001u; /* a NaN whose payload is all in the bits that go */
    float v;
    memcpy(&v, &low_payload, 4);
    assert_true(isnan(bf16_to_f32(f32_to_bf16(v))));
}

/* Between two neighbours a < b: below the middle a, above b, on it the even one; from f32 and,
 * one f64 step off the middle, from f64, where rounding twice would go wrong. */
static void check_between(enum dtype t, uint16_t a, uint16_t b, double va, double vb)
{
    double middle = (va + vb) / 2, near[3] = {nextafter(middle, va), middle, nextafter(middle, vb)};
    uint16_t got[3], even = a & 1 ? b : a;
    float f = (float)middle;
    uint16_t g;

    dtype_from_f64(t, near, 3, got);
    assert_int_equal(got[0], a);
    assert_int_equal(got[1], even);
    assert_int_equal(got[2], b);
    assert_true((double)f == middle);
    dtype_from_f32(t, &f, 1, &g);
    assert_int_equal(g, even);
    f = nextafterf((float)middle, (float)vb);
    dtype_from_f32(t, &f, 1, &g);
    assert_int_equal(g, b);
}

static void test_rounding(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 0x7bff; i++)
        check_between(DT_F16, (uint16_t)i, (uint16_t)(i + 1), f16_value(i), f16_value(i + 1));
    for (unsigned i = 0; i < 0x7f7f; i++)
        check_between(DT_BF16, (uint16_t)i, (uint16_t)(i + 1), (double)bf16_to_f32((uint16_t)i),
                      (double)bf16_to_f32((uint16_t)(i + 1)));
}

static void test_overflow(void **state)
{
    double big[5] = {65519.999, 65520, 1e300, -1e300, 1e-300};
    uint16_t h[5];

    (void)state;
    dtype_from_f64(DT_F16, big, 5, h);
    assert_int_equal(h[0], 0x7bff);
    assert_int_equal(h[1], 0x7c00);
    assert_int_equal(h[2], 0x7c00);
    assert_int_equal(h[3], 0xfc00);
    assert_int_equal(h[4], 0);
    dtype_from_f64(DT_BF16, big, 5, h);
    assert_int_equal(h[2], 0x7f80);
    assert_int_equal(h[3], 0xff80);
    assert_int_equal(h[4], 0);
    assert_int_equal(f32_to_f16(INFINITY), 0x7c00);
    assert_int_equal(f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(f32_to_f16(65519.996f), 0x7bff);
    assert_int_equal(f32_to_bf16(3.4028235e38f), 0x7f80);
}

/* Odd lengths, random bits: the vector loops and their rests say the same as one at a time. */
static void test_vector_equals_scalar(void **state)
{
    struct rng r;

    (void)state;
    rng_seed(&r, 7, 0);
    for (size_t n = 0; n < 40; n++) {
        float x[40];
        uint16_t h[40];

        for (size_t i = 0; i < n; i++) {
            uint32_t bits = (uint32_t)rng_next(&r);

            memcpy(&x[i], &bits, 4);
        }
        dtype_from_f32(DT_F16, x, n, h);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(h[i], f32_to_f16(x[i]));
        dtype_from_f32(DT_BF16, x, n, h);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(h[i], f32_to_bf16(x[i]));
        dtype_to_f32(DT_BF16, h, n, x);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(f32_to_bf16(x[i]), h[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_not_float),
        cmocka_unit_test(test_f16_all),
        cmocka_unit_test(test_bf16_all),
        cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_overflow),
        cmocka_unit_test(test_vector_equals_scalar),
    };

    return cmocka_run_group_tests_name("dtype", tests, NULL, NULL);
}
