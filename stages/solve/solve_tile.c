/* SPDX-License-Identifier: Apache-2.0 */
/* solve_tile - the vector loops of the solvers: see solve_tile.h.
 *
 * Each loop is written once as plain C and compiled for AVX-512, AVX2 and the base instruction set;
 * which one runs is asked of the CPU. Contraction into fused operations is off (-std=c11 for gcc,
 * the pragma for clang). */
#include "solve_tile.h"

#include <string.h>

#ifdef __clang__
#    pragma STDC FP_CONTRACT OFF
#    define VECTOR
#else
#    define VECTOR __attribute__((optimize("O3")))
#endif
#define BODY static inline __attribute__((always_inline)) void

#if defined(__x86_64__)
#    define EACH_CPU(name, params, args)                                                 \
        VECTOR __attribute__((target("avx512f,avx512dq"))) static void name##_512 params \
        {                                                                                \
            name##_body args;                                                            \
        }                                                                                \
        VECTOR __attribute__((target("avx2"))) static void name##_256 params             \
        {                                                                                \
            name##_body args;                                                            \
        }                                                                                \
        VECTOR static void name##_base params                                            \
        {                                                                                \
            name##_body args;                                                            \
        }                                                                                \
        void name params                                                                 \
        {                                                                                \
            if (__builtin_cpu_supports("avx512dq"))                                      \
                name##_512 args;                                                         \
            else if (__builtin_cpu_supports("avx2"))                                     \
                name##_256 args;                                                         \
            else                                                                         \
                name##_base args;                                                        \
        }
#else
#    define EACH_CPU(name, params, args) \
        VECTOR void name params          \
        {                                \
            name##_body args;            \
        }
#endif

#define R SOLVE_TILE

/* Adding and taking away 1.5 * 2^52 rounds half to even (the mode every C program starts in) for
 * |x| < 2^51; the clamp to whole numbers far outside every grid changes no code. */
static inline __attribute__((always_inline)) double round_even(double x)
{
    const double shift = 6755399441055744.0;

    x = x < -1024.0 ? -1024.0 : x;
    x = x > 1024.0 ? 1024.0 : x;
    return (x + shift) - shift;
}

static inline __attribute__((always_inline)) double code_of(double w, double s, double z,
                                                            double top)
{
    double c = round_even(w / s) + z;

    c = c < 0.0 ? 0.0 : c;
    return c > top ? top : c;
}

size_t tile_count(size_t N)
{
    return N / R + (N % R != 0);
}

int tile_load(enum dtype w_type, const void *W, size_t N, size_t K, size_t first, double *row,
              double *tile)
{
    const size_t size = dtype_size(w_type);

    for (size_t r = 0; r < R; r++) {
        if (first + r >= N)
            memset(row, 0, K * sizeof *row);
        else if (dtype_to_f64(w_type, (const char *)W + (first + r) * K * size, K, row))
            return -1;
        for (size_t k = 0; k < K; k++)
            tile[k * R + r] = row[k];
    }
    return 0;
}

BODY tile_round_body(const double *restrict w, const double *restrict s, const double *restrict z,
                     double top, double *restrict q, uint8_t *restrict code)
{
    double c[R];

    for (size_t r = 0; r < R; r++)
        c[r] = code_of(w[r], s[r], z[r], top);
    for (size_t r = 0; r < R; r++)
        q[r] = s[r] * (c[r] - z[r]);
    for (size_t r = 0; code && r < R; r++)
        code[r] = (uint8_t)(int)c[r];
}

EACH_CPU(tile_round,
         (const double *restrict w, const double *restrict s, const double *restrict z, double top,
          double *restrict q, uint8_t *restrict code),
         (w, s, z, top, q, code))

/* v^1.2 for v in [0, 2] by way of z = v^-0.2: a first guess from the exponent of the float, then
 * Newton's step z (6 - v z^5) / 5, which squares the error; four from 3.4% reach the last bits.
 * v^1.2 = v^2 z^4. */
static inline __attribute__((always_inline)) double power_1_2(double v)
{
    float f = (float)v;
    int32_t i;
    double z;

    memcpy(&i, &f, sizeof i);
    i = 1277920000 - (int32_t)(0.2f * (float)i);
    memcpy(&f, &i, sizeof f);
    z = (double)f;
    for (int n = 0; n < 4; n++) {
        const double z2 = z * z;
        z = z * (1.2 - 0.2 * v * (z2 * z2 * z));
    }
    z = z * z;
    return v * v * (z * z);
}

BODY tile_error_body(const double *restrict x, size_t n, const double *restrict s,
                     const double *restrict z, double top, const double *restrict unit,
                     double *restrict sums)
{
    for (size_t k = 0; k < n; k++)
        for (size_t r = 0; r < R; r++) {
            const double w = x[k * R + r];
            const double d = (s[r] * (code_of(w, s[r], z[r], top) - z[r]) - w) * unit[r];
            sums[r] += power_1_2(d * d);
        }
}

EACH_CPU(tile_error,
         (const double *restrict x, size_t n, const double *restrict s, const double *restrict z,
          double top, const double *restrict unit, double *restrict sums),
         (x, n, s, z, top, unit, sums))

BODY tile_weighted_body(const double *restrict x, size_t n, const double *restrict s,
                        const double *restrict z, double top, const double *restrict h,
                        double *restrict sums)
{
    for (size_t k = 0; k < n; k++)
        for (size_t r = 0; r < R; r++) {
            const double w = x[k * R + r];
            const double d = s[r] * (code_of(w, s[r], z[r], top) - z[r]) - w;
            sums[r] += h[k] * (d * d);
        }
}

EACH_CPU(tile_weighted,
         (const double *restrict x, size_t n, const double *restrict s, const double *restrict z,
          double top, const double *restrict h, double *restrict sums),
         (x, n, s, z, top, h, sums))

BODY tile_range_body(const double *restrict x, size_t n, double *restrict lo, double *restrict hi)
{
    for (size_t r = 0; r < R; r++)
        lo[r] = hi[r] = 0.0;
    for (size_t k = 0; k < n; k++)
        for (size_t r = 0; r < R; r++) {
            const double w = x[k * R + r];
            lo[r] = w < lo[r] ? w : lo[r];
            hi[r] = w > hi[r] ? w : hi[r];
        }
}

EACH_CPU(tile_range, (const double *restrict x, size_t n, double *restrict lo, double *restrict hi),
         (x, n, lo, hi))

BODY tile_spread_body(double *restrict x, size_t n, const double *restrict e,
                      const double *restrict u)
{
    for (size_t k = 0; k < n; k++)
        for (size_t r = 0; r < R; r++)
            x[k * R + r] -= e[r] * u[k];
}

EACH_CPU(tile_spread,
         (double *restrict x, size_t n, const double *restrict e, const double *restrict u),
         (x, n, e, u))
