/* SPDX-License-Identifier: Apache-2.0 */
/* dtype - names, sizes, and conversion between float types. Loops are written so that the
 * compiler can vectorize them; f16 uses the CPU's F16C where it is there, with the same results
 * as the portable code. f64 to the 16-bit types goes through an f32 rounded to odd, which makes
 * the second rounding the only one that counts. */
#include "dtype.h"

#include <math.h>
#include <string.h>
#if defined(__x86_64__)
#    include <immintrin.h>
#endif
#include "../base/each_cpu.h"

static const struct {
    const char *name;
    unsigned char size, is_float;
} types[DT_COUNT] = {
    [DT_BOOL] = {"BOOL", 1, 0},       [DT_U8] = {"U8", 1, 0},           [DT_I8] = {"I8", 1, 0},
    [DT_F8_E4M3] = {"F8_E4M3", 1, 1}, [DT_F8_E8M0] = {"F8_E8M0", 1, 1}, [DT_U16] = {"U16", 2, 0},
    [DT_I16] = {"I16", 2, 0},         [DT_F16] = {"F16", 2, 1},         [DT_BF16] = {"BF16", 2, 1},
    [DT_U32] = {"U32", 4, 0},         [DT_I32] = {"I32", 4, 0},         [DT_F32] = {"F32", 4, 1},
    [DT_U64] = {"U64", 8, 0},         [DT_I64] = {"I64", 8, 0},         [DT_F64] = {"F64", 8, 1},
};

const char *dtype_name(enum dtype t)
{
    return (unsigned)t < DT_COUNT ? types[t].name : "?";
}

int dtype_parse(const char *name, enum dtype *t)
{
    for (int i = 0; name && i < DT_COUNT; i++)
        if (!strcmp(types[i].name, name)) {
            *t = (enum dtype)i;
            return 0;
        }
    return -1;
}

size_t dtype_size(enum dtype t)
{
    return (unsigned)t < DT_COUNT ? types[t].size : 0;
}

int dtype_is_float(enum dtype t)
{
    return (unsigned)t < DT_COUNT && types[t].is_float;
}

EACH_INLINE uint32_t bits_of(float v)
{
    uint32_t x;

    memcpy(&x, &v, 4);
    return x;
}

EACH_INLINE float float_of(uint32_t x)
{
    float v;

    memcpy(&v, &x, 4);
    return v;
}

uint16_t f32_to_f16(float v)
{
    uint32_t x = bits_of(v), a = x & 0x7fffffffu, sign = x >> 16 & 0x8000u, normal, small, out;

    normal = a - 0x38000000u; /* exponent bias 127 to 15 */
    normal = (normal + 0xfffu + (normal >> 13 & 1)) >> 13;
    /* one ulp of 0.5 is the smallest f16: the addition rounds */
    small = bits_of(float_of(a) + 0.5f) - 0x3f000000u;
    out = a >= 0x38800000u ? normal : small;
    out = a >= 0x47800000u ? 0x7c00u : out;
    out = a > 0x7f800000u ? 0x7e00u | (a >> 13 & 0x3ffu) : out;
    return (uint16_t)(sign | out);
}

float f16_to_f32(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, x = (uint32_t)(h & 0x7fffu) << 13, out;

    out = bits_of(float_of(x) * 0x1p112f); /* exact, subnormals too */
    out = (h & 0x7c00u) == 0x7c00u ? x | 0x7f800000u | (h & 0x3ffu ? 0x400000u : 0) : out;
    return float_of(sign | out);
}

EACH_INLINE uint16_t narrow_lane(float v)
{
    uint32_t x = bits_of(v), rounded = (x + 0x7fffu + (x >> 16 & 1)) >> 16, nan = x >> 16 | 0x40u;

    return (uint16_t)((x & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

uint16_t f32_to_bf16(float v)
{
    return narrow_lane(v);
}

float bf16_to_f32(uint16_t h)
{
    return float_of((uint32_t)h << 16);
}

EACH_BODY bf16_widen_body(const uint16_t *restrict src, size_t n, float *restrict dst)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = float_of((uint32_t)src[i] << 16);
}

static void bf16_widen(const uint16_t *restrict src, size_t n, float *restrict dst);
EACH_CPU(bf16_widen, (const uint16_t *restrict src, size_t n, float *restrict dst), (src, n, dst))

EACH_BODY bf16_narrow_body(const float *restrict src, size_t n, uint16_t *restrict dst)
{
    for (size_t i = 0; i < n; i++)
        dst[i] = narrow_lane(src[i]);
}

static void bf16_narrow(const float *restrict src, size_t n, uint16_t *restrict dst);
EACH_CPU(bf16_narrow, (const float *restrict src, size_t n, uint16_t *restrict dst), (src, n, dst))

static double e4m3_to_f64(uint8_t c)
{
    const int exponent = c >> 3 & 15, part = c & 7;
    const double v = exponent ? ldexp(8 + part, exponent - 10) : ldexp(part, -9);

    return (c & 0x7f) == 0x7f ? (double)NAN : c & 0x80 ? -v : v;
}

/* Steps of 2^-9 below 2^-6, above that eight to each power of two. */
static uint8_t e4m3_from_f64(double v)
{
    const uint8_t sign = signbit(v) ? 0x80 : 0;
    double a = fabs(v);
    int exponent = -5;

    if (!(a <= 464.0)) /* half a step beyond the last */
        return sign | 0x7f;
    if (a >= 0x1p-6)
        (void)frexp(a, &exponent);
    a = nearbyint(ldexp(a, 4 - exponent)); /* 8 to 16; below 2^-6: 0 to 8 */
    return (uint8_t)(sign | ((exponent + 5) * 8 + (int)a));
}

static double e8m0_to_f64(uint8_t c)
{
    return c == 255 ? (double)NAN : ldexp(1.0, c - 127);
}

static uint8_t e8m0_from_f64(double v)
{
    int exponent;

    if (v != v)
        return 255;
    if (!(v >= 0x1p-127))
        return 0;
    if (v >= 0x1p127)
        return 254;
    (void)frexp(v, &exponent);
    return (uint8_t)(exponent - 1 + 127);
}

static double small_to_f64(enum dtype t, uint8_t c)
{
    return t == DT_F8_E4M3 ? e4m3_to_f64(c) : e8m0_to_f64(c);
}

static uint8_t small_from_f64(enum dtype t, double v)
{
    return t == DT_F8_E4M3 ? e4m3_from_f64(v) : e8m0_from_f64(v);
}

/* f64 to f32, rounded to odd: toward zero, with the last bit set when anything was cut off. */
static float round_odd(double d)
{
    float f = (float)d;
    double back = (double)f;
    uint32_t x = bits_of(f);

    if (d != d || !(back < d || back > d))
        return f;
    if (d > 0 ? back > d : back < d)
        x--;
    return float_of(x | 1);
}

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) static size_t f16c_widen(const uint16_t *src, size_t n,
                                                             float *dst)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(
            dst + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(src + i))));
    return i;
}

__attribute__((target("avx,f16c"))) static size_t f16c_narrow(const float *src, size_t n,
                                                              uint16_t *dst)
{
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(dst + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT));
    return i;
}

static int have_f16c(void)
{
    /* every CPU with AVX2 has F16C */
    return __builtin_cpu_supports("avx") && __builtin_cpu_supports("avx2");
}
#else
static size_t f16c_widen(const uint16_t *src, size_t n, float *dst)
{
    (void)src, (void)n, (void)dst;
    return 0;
}
static size_t f16c_narrow(const float *src, size_t n, uint16_t *dst)
{
    (void)src, (void)n, (void)dst;
    return 0;
}
static int have_f16c(void)
{
    return 0;
}
#endif

int dtype_to_f32(enum dtype t, const void *restrict src, size_t n, float *restrict dst)
{
    const uint16_t *restrict h = src;
    const uint8_t *b = src;
    const double *d = src;
    size_t i = 0;

    switch (t) {
    case DT_F32:
        if (n)
            memcpy(dst, src, n * sizeof *dst);
        return 0;
    case DT_F16:
        if (have_f16c())
            i = f16c_widen(h, n, dst);
        for (; i < n; i++)
            dst[i] = f16_to_f32(h[i]);
        return 0;
    case DT_BF16:
        bf16_widen(h, n, dst);
        return 0;
    case DT_F64:
        for (i = 0; i < n; i++)
            dst[i] = (float)d[i];
        return 0;
    case DT_F8_E4M3:
    case DT_F8_E8M0:
        for (i = 0; i < n; i++)
            dst[i] = (float)small_to_f64(t, b[i]);
        return 0;
    default:
        return -1;
    }
}

int dtype_to_f64(enum dtype t, const void *src, size_t n, double *dst)
{
    const uint16_t *h = src;
    const uint8_t *b = src;
    const float *f = src;

    switch (t) {
    case DT_F64:
        if (n)
            memcpy(dst, src, n * sizeof *dst);
        return 0;
    case DT_F32:
        for (size_t i = 0; i < n; i++)
            dst[i] = (double)f[i];
        return 0;
    case DT_F16:
        for (size_t i = 0; i < n; i++)
            dst[i] = (double)f16_to_f32(h[i]);
        return 0;
    case DT_BF16:
        for (size_t i = 0; i < n; i++)
            dst[i] = (double)bf16_to_f32(h[i]);
        return 0;
    case DT_F8_E4M3:
    case DT_F8_E8M0:
        for (size_t i = 0; i < n; i++)
            dst[i] = small_to_f64(t, b[i]);
        return 0;
    default:
        return -1;
    }
}

int dtype_from_f32(enum dtype t, const float *restrict src, size_t n, void *restrict dst)
{
    uint16_t *restrict h = dst;
    uint8_t *b = dst;
    double *d = dst;
    size_t i = 0;

    switch (t) {
    case DT_F32:
        if (n)
            memcpy(dst, src, n * sizeof *src);
        return 0;
    case DT_F16:
        if (have_f16c())
            i = f16c_narrow(src, n, h);
        for (; i < n; i++)
            h[i] = f32_to_f16(src[i]);
        return 0;
    case DT_BF16:
        bf16_narrow(src, n, h);
        return 0;
    case DT_F64:
        for (i = 0; i < n; i++)
            d[i] = (double)src[i];
        return 0;
    case DT_F8_E4M3:
    case DT_F8_E8M0:
        for (i = 0; i < n; i++)
            b[i] = small_from_f64(t, (double)src[i]);
        return 0;
    default:
        return -1;
    }
}

int dtype_from_f64(enum dtype t, const double *src, size_t n, void *dst)
{
    uint16_t *h = dst;
    uint8_t *b = dst;
    float *f = dst;

    switch (t) {
    case DT_F64:
        if (n)
            memcpy(dst, src, n * sizeof *src);
        return 0;
    case DT_F32:
        for (size_t i = 0; i < n; i++)
            f[i] = (float)src[i];
        return 0;
    case DT_F16:
        for (size_t i = 0; i < n; i++)
            h[i] = f32_to_f16(round_odd(src[i]));
        return 0;
    case DT_BF16:
        for (size_t i = 0; i < n; i++)
            h[i] = f32_to_bf16(round_odd(src[i]));
        return 0;
    case DT_F8_E4M3:
    case DT_F8_E8M0:
        for (size_t i = 0; i < n; i++)
            b[i] = small_from_f64(t, src[i]);
        return 0;
    default:
        return -1;
    }
}
