/* SPDX-License-Identifier: Apache-2.0 */
/* vec - loops written so that gcc and clang turn them into vector code at -O2: blocks of 16
 * lanes of a fixed trip count, compiled for AVX-512, AVX2 and the baseline and chosen at load.
 * No product is contracted with a sum, so all three give the same bits. exp: Cody-Waite
 * reduction and the degree-6 polynomial of Cephes (expf.c), at most 1.4 units of 2^-24 off in
 * [-87, 88]. */
#include "vec.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__linux__)
#    define VEC_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#    define VEC_CLONES
#endif

enum { LANES = 16, PART = 512 };

static inline uint32_t float_bits(float f)
{
    uint32_t u;

    memcpy(&u, &f, sizeof u);
    return u;
}

static inline float bits_float(uint32_t u)
{
    float f;

    memcpy(&f, &u, sizeof f);
    return f;
}

/* yes ? a : b without a branch: with one, gcc follows both ways and leaves the loop scalar. */
static inline float pick(int yes, float a, float b)
{
    const uint32_t all = 0u - (uint32_t)yes;

    return bits_float((float_bits(a) & all) | (float_bits(b) & ~all));
}

/* Adding 1.5 * 2^23 rounds to an integer, which then lies in the low bits. */
static inline float exp_lane(float x)
{
    const float magic = 12582912.0f;
    float t, n, r, p;

    x = pick(x < -87.0f, -87.0f, x);
    x = pick(x > 88.0f, 88.0f, x);
    t = x * 1.44269504f + magic;
    n = t - magic;
    r = x - n * 0.693359375f;
    r = r - n * -2.12194440e-4f;
    p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return bits_float(float_bits(p) + ((float_bits(t) - float_bits(magic)) << 23));
}

/* Near 0 the polynomial of Cephes (tanhf.c): the other form loses digits there. */
static inline float tanh_lane(float x)
{
    const float a = pick(x < 0, -x, x), z = x * x, far = 1.0f - 2.0f / (exp_lane(2.0f * a) + 1.0f);
    float p = -5.70498872745e-3f;

    p = p * z + 2.06390887954e-2f;
    p = p * z - 5.37397155531e-2f;
    p = p * z + 1.33314422036e-1f;
    p = p * z - 3.33332819422e-1f;
    p = p * z * x + x;
    return pick(a < 0.625f, p, pick(x < 0, -far, far));
}

static inline float gelu_lane(float x)
{
    const float u = 0.79788456f * (x + 0.044715f * (x * x * x));

    return 0.5f * x * (1.0f + tanh_lane(u));
}

/* d gelu / dx */
static inline float gelu_slope(float x)
{
    const float t = tanh_lane(0.79788456f * (x + 0.044715f * (x * x * x)));

    return 0.5f * (1.0f + t) +
           0.5f * x * (1.0f - t * t) * (0.79788456f * (1.0f + 0.134145f * (x * x)));
}

static inline float lanes_sum(float *lane)
{
    for (size_t w = LANES / 2; w > 0; w /= 2)
        for (size_t l = 0; l < w; l++)
            lane[l] += lane[l + w];
    return lane[0];
}

VEC_CLONES static int all_finite(const float *x, size_t n)
{
    uint32_t bad[LANES] = {0}, any = 0;
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            bad[l] |= (uint32_t)((float_bits(x[i + l]) & 0x7f800000u) == 0x7f800000u);
    for (; i < n; i++)
        any |= (uint32_t)((float_bits(x[i]) & 0x7f800000u) == 0x7f800000u);
    for (size_t l = 0; l < LANES; l++)
        any |= bad[l];
    return !any;
}

VEC_CLONES static float max(const float *x, size_t n)
{
    float m[LANES];
    size_t i = 0;

    for (size_t l = 0; l < LANES; l++)
        m[l] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            m[l] = x[i + l] > m[l] ? x[i + l] : m[l];
    for (; i < n; i++)
        m[0] = x[i] > m[0] ? x[i] : m[0];
    for (size_t l = 1; l < LANES; l++)
        m[0] = m[l] > m[0] ? m[l] : m[0];
    return m[0];
}

VEC_CLONES static float exp_sum(float *x, size_t n, float shift)
{
    float sum[LANES] = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            float y = exp_lane(x[i + l] - shift);

            x[i + l] = y;
            sum[l] += y;
        }
    for (size_t l = 0; i < n; i++, l++) {
        x[i] = exp_lane(x[i] - shift);
        sum[l] += x[i];
    }
    return lanes_sum(sum);
}

VEC_CLONES static void add_scaled(double *y, const float *x, size_t n, double a)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            y[i + l] += a * (double)x[i + l];
    for (; i < n; i++)
        y[i] += a * (double)x[i];
}

VEC_CLONES static float exp_part(const float *x, size_t n, float shift)
{
    float sum[LANES] = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            sum[l] += exp_lane(x[i + l] - shift);
    for (size_t l = 0; i < n; i++, l++)
        sum[l] += exp_lane(x[i] - shift);
    return lanes_sum(sum);
}

/* *total += sum of p = exp(x - sx), the result is the sum of p ((x - sx) - (y - sy)). */
VEC_CLONES static float moment_part(const float *x, const float *y, size_t n, float sx, float sy,
                                    double *total)
{
    float sum[LANES] = {0}, moment[LANES] = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++) {
            float p = exp_lane(x[i + l] - sx);

            sum[l] += p;
            moment[l] += p * ((x[i + l] - sx) - (y[i + l] - sy));
        }
    for (size_t l = 0; i < n; i++, l++) {
        float p = exp_lane(x[i] - sx);

        sum[l] += p;
        moment[l] += p * ((x[i] - sx) - (y[i] - sy));
    }
    *total += (double)lanes_sum(sum);
    return lanes_sum(moment);
}

VEC_CLONES static void scale(float *x, size_t n, float a)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            x[i + l] *= a;
    for (; i < n; i++)
        x[i] *= a;
}

VEC_CLONES static void add(float *restrict x, const float *restrict y, size_t n)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            x[i + l] += y[i + l];
    for (; i < n; i++)
        x[i] += y[i];
}

VEC_CLONES static void silu_mul(float *restrict gate, const float *restrict up, size_t n)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            gate[i + l] = gate[i + l] / (1.0f + exp_lane(-gate[i + l])) * up[i + l];
    for (; i < n; i++)
        gate[i] = gate[i] / (1.0f + exp_lane(-gate[i])) * up[i];
}

VEC_CLONES static void sigmoid_mul(float *restrict gate, const float *restrict up, size_t n)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            gate[i + l] = 1.0f / (1.0f + exp_lane(-gate[i + l])) * up[i + l];
    for (; i < n; i++)
        gate[i] = 1.0f / (1.0f + exp_lane(-gate[i])) * up[i];
}

VEC_CLONES static void gelu_mul(float *restrict gate, const float *restrict up, size_t n)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            gate[i + l] = gelu_lane(gate[i + l]) * up[i + l];
    for (; i < n; i++)
        gate[i] = gelu_lane(gate[i]) * up[i];
}

static inline void silu_back_lane(float gate, float up, float *restrict g, float *restrict up_grad)
{
    const float s = 1.0f / (1.0f + exp_lane(-gate)), silu = gate * s;

    *up_grad += *g * silu;
    *g *= up * (s + silu * (1.0f - s));
}

VEC_CLONES static void silu_mul_back(const float *restrict gate, const float *restrict up, size_t n,
                                     float *restrict g, float *restrict up_grad)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            silu_back_lane(gate[i + l], up[i + l], g + i + l, up_grad + i + l);
    for (; i < n; i++)
        silu_back_lane(gate[i], up[i], g + i, up_grad + i);
}

static inline void gelu_back_lane(float gate, float up, float *restrict g, float *restrict up_grad)
{
    *up_grad += *g * gelu_lane(gate);
    *g *= up * gelu_slope(gate);
}

VEC_CLONES static void gelu_mul_back(const float *restrict gate, const float *restrict up, size_t n,
                                     float *restrict g, float *restrict up_grad)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            gelu_back_lane(gate[i + l], up[i + l], g + i + l, up_grad + i + l);
    for (; i < n; i++)
        gelu_back_lane(gate[i], up[i], g + i, up_grad + i);
}

VEC_CLONES static void cap_at(float *x, size_t n, float cap)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            x[i + l] = cap * tanh_lane(x[i + l] / cap);
    for (; i < n; i++)
        x[i] = cap * tanh_lane(x[i] / cap);
}

VEC_CLONES static void add_times(float *restrict x, const float *restrict y, size_t n, float a)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            x[i + l] += a * y[i + l];
    for (; i < n; i++)
        x[i] += a * y[i];
}

VEC_CLONES static float sum_of(const float *x, size_t n)
{
    float sum[LANES] = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            sum[l] += x[i + l];
    for (size_t l = 0; i < n; i++, l++)
        sum[l] += x[i];
    return lanes_sum(sum);
}

VEC_CLONES static float squares(const float *x, size_t n)
{
    float sum[LANES] = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            sum[l] += x[i + l] * x[i + l];
    for (size_t l = 0; i < n; i++, l++)
        sum[l] += x[i] * x[i];
    return lanes_sum(sum);
}

VEC_CLONES static void rmsnorm(const float *x, const float *w, size_t n, float eps, float one,
                               float *y)
{
    float sum[LANES] = {0}, a;
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            sum[l] += x[i + l] * x[i + l];
    for (size_t l = 0; i < n; i++, l++)
        sum[l] += x[i] * x[i];
    a = 1.0f / sqrtf(lanes_sum(sum) / (float)n + eps);
    for (i = 0; i + LANES <= n; i += LANES) {
        float out[LANES];

        for (size_t l = 0; l < LANES; l++)
            out[l] = (w[i + l] + one) * (x[i + l] * a);
        memcpy(y + i, out, sizeof out);
    }
    for (; i < n; i++)
        y[i] = (w[i] + one) * (x[i] * a);
}

VEC_CLONES static void rotate(float *restrict x, const float *restrict cosine,
                              const float *restrict sine, size_t half)
{
    float *restrict z = x + half;
    size_t i = 0;

    for (; i + LANES <= half; i += LANES) {
        float a[LANES], b[LANES];

        for (size_t l = 0; l < LANES; l++) {
            a[l] = x[i + l] * cosine[i + l] - z[i + l] * sine[i + l];
            b[l] = z[i + l] * cosine[i + l] + x[i + l] * sine[i + l];
        }
        memcpy(x + i, a, sizeof a);
        memcpy(z + i, b, sizeof b);
    }
    for (; i < half; i++) {
        float a = x[i], b = z[i];

        x[i] = a * cosine[i] - b * sine[i];
        z[i] = b * cosine[i] + a * sine[i];
    }
}

VEC_CLONES static void rotate_pairs(float *restrict x, const float *restrict cosine,
                                    const float *restrict sine, size_t half)
{
    for (size_t i = 0; i < half; i++) {
        const float a = x[2 * i], b = x[2 * i + 1];

        x[2 * i] = a * cosine[i] - b * sine[i];
        x[2 * i + 1] = b * cosine[i] + a * sine[i];
    }
}

/* ---- the public names: clang 14 renames a function with clones outside its file ---- */

int vec_finite(const float *x, size_t n)
{
    return all_finite(x, n);
}

float vec_max(const float *x, size_t n)
{
    return max(x, n);
}

float vec_exp_sum(float *x, size_t n, float shift)
{
    return exp_sum(x, n, shift);
}

void vec_scale(float *x, size_t n, float a)
{
    scale(x, n, a);
}

void vec_add_scaled(double *y, const float *x, size_t n, double a)
{
    add_scaled(y, x, n, a);
}

void vec_add(float *x, const float *y, size_t n)
{
    add(x, y, n);
}

void vec_silu_mul(float *gate, const float *up, size_t n)
{
    silu_mul(gate, up, n);
}

void vec_sigmoid_mul(float *gate, const float *up, size_t n)
{
    sigmoid_mul(gate, up, n);
}

void vec_gelu_mul(float *gate, const float *up, size_t n)
{
    gelu_mul(gate, up, n);
}

void vec_silu_mul_back(const float *gate, const float *up, size_t n, float *g, float *up_grad)
{
    silu_mul_back(gate, up, n, g, up_grad);
}

void vec_gelu_mul_back(const float *gate, const float *up, size_t n, float *g, float *up_grad)
{
    gelu_mul_back(gate, up, n, g, up_grad);
}

void vec_cap(float *x, size_t n, float cap)
{
    cap_at(x, n, cap);
}

void vec_add_times(float *x, const float *y, size_t n, float a)
{
    add_times(x, y, n, a);
}

float vec_sigmoid(float x)
{
    return 1.0f / (1.0f + exp_lane(-x));
}

void vec_rmsnorm(const float *x, const float *w, size_t n, float eps, float one, float *y)
{
    rmsnorm(x, w, n, eps, one, y);
}

void vec_unit(const float *x, size_t n, float eps, float *y)
{
    const float a = 1.0f / sqrtf(squares(x, n) / (float)n + eps);

    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * a;
}

void vec_layernorm(const float *x, const float *w, size_t n, float eps, float *y)
{
    const float mean = sum_of(x, n) / (float)n;

    for (size_t i = 0; i < n; i++)
        y[i] = x[i] - mean;
    rmsnorm(y, w, n, eps, 0.0f, y);
}

void vec_rotate(float *x, const float *cosine, const float *sine, size_t half)
{
    rotate(x, cosine, sine, half);
}

void vec_rotate_pairs(float *x, const float *cosine, const float *sine, size_t half)
{
    rotate_pairs(x, cosine, sine, half);
}

double vec_exp_total(const float *x, size_t n, float shift)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i += PART)
        sum += (double)exp_part(x + i, n - i < PART ? n - i : PART, shift);
    return sum;
}

double vec_exp_moment(const float *x, const float *y, size_t n, float sx, float sy, double *total)
{
    double sum = 0.0;

    *total = 0.0;
    for (size_t i = 0; i < n; i += PART)
        sum += (double)moment_part(x + i, y + i, n - i < PART ? n - i : PART, sx, sy, total);
    return sum;
}
