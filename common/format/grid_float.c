/* SPDX-License-Identifier: Apache-2.0 */
/* grid_float - see grid_float.h. Rounding is to nearest, ties to the even code, as converting
 * instructions do it; what lies beyond the largest level becomes that. */
#include "grid_float.h"

#include <math.h>
#include <string.h>

#include "../base/each_cpu.h"

#define R GRID_LANES

EACH_INLINE uint64_t bits_of(double v)
{
    uint64_t x;

    memcpy(&x, &v, sizeof x);
    return x;
}

/* |x| as E4M3 has it. Its steps are an eighth of the power of two below x, at least 2^-9; adding
 * and taking away 1.5 * 2^52 steps rounds half to even. */
EACH_INLINE double round_e4m3(double a)
{
    const uint64_t power = bits_of(a > 0x1p-6 ? a : 0x1p-6) & UINT64_C(0x7ff0000000000000);
    double step;

    memcpy(&step, &power, sizeof step);
    step *= 0.125 * 6755399441055744.0;
    return (a + step) - step;
}

EACH_INLINE unsigned code_e4m3(double a)
{
    const unsigned high = (unsigned)(bits_of(a) >> 49) - ((1023 - 7) << 3);

    return a >= 0x1p-6 ? high : (unsigned)(int)(a * 512.0);
}

EACH_BODY e4m3_round_body(const double *restrict w, const double *restrict s, double *restrict q,
                          uint8_t *restrict code)
{
    double a[R];

    for (size_t r = 0; r < R; r++) {
        const double x = w[r] / s[r], far = x < 0 ? -x : x;

        a[r] = round_e4m3(far > E4M3_TOP ? E4M3_TOP : far);
        q[r] = s[r] * (w[r] < 0 ? -a[r] : a[r]);
    }
    for (size_t r = 0; code && r < R; r++)
        code[r] = (uint8_t)(code_e4m3(a[r]) | (w[r] < 0 && a[r] > 0 ? 0x80u : 0u));
}

static void e4m3_round(const double *restrict w, const double *restrict s, double *restrict q,
                       uint8_t *restrict code);
EACH_CPU(e4m3_round,
         (const double *restrict w, const double *restrict s, double *restrict q,
          uint8_t *restrict code),
         (w, s, q, code))

void float_e4m3_nearest(const struct grid_lanes *g, const double *w, double *q, uint8_t *code)
{
    e4m3_round(w, g->scale, q, code);
}

/* How many of the middles between levels lie below |x|: its level and its code follow. */
EACH_BODY e2m1_round_body(const double *restrict w, const double *restrict s, double *restrict q,
                          uint8_t *restrict code)
{
    double a[R], c[R];

    for (size_t r = 0; r < R; r++) {
        const double x = w[r] / s[r], far = x < 0 ? -x : x;
        const double halves = (far > 0.25 ? 1.0 : 0.0) + (far >= 0.75 ? 1.0 : 0.0) +
                              (far > 1.25 ? 1.0 : 0.0) + (far >= 1.75 ? 1.0 : 0.0),
                     ones = (far > 2.5 ? 1.0 : 0.0) + (far >= 3.5 ? 1.0 : 0.0),
                     last = far > 5.0 ? 1.0 : 0.0;

        a[r] = 0.5 * halves + ones + 2.0 * last;
        c[r] = halves + ones + last;
        q[r] = s[r] * (w[r] < 0 ? -a[r] : a[r]);
    }
    for (size_t r = 0; code && r < R; r++)
        code[r] = (uint8_t)((unsigned)(int)c[r] | (w[r] < 0 && c[r] > 0 ? 8u : 0u));
}

static void e2m1_round(const double *restrict w, const double *restrict s, double *restrict q,
                       uint8_t *restrict code);
EACH_CPU(e2m1_round,
         (const double *restrict w, const double *restrict s, double *restrict q,
          uint8_t *restrict code),
         (w, s, q, code))

void float_e2m1_nearest(const struct grid_lanes *g, const double *w, double *q, uint8_t *code)
{
    e2m1_round(w, g->scale, q, code);
}

void float_e4m3_value(const struct grid_group *g, const uint8_t *codes, size_t n, double *w)
{
    const double s = g->scale * g->tensor_scale;

    for (size_t k = 0; k < n; k++) {
        const int exponent = codes[k] >> 3 & 15, part = codes[k] & 7;
        const double a = exponent ? ldexp(8 + part, exponent - 10) : ldexp(part, -9);

        w[k] = s * (codes[k] & 0x80 ? -a : a);
    }
}

void float_e2m1_value(const struct grid_group *g, const uint8_t *codes, size_t n, double *w)
{
    static const double level[16] = {0,  0.5,  1,  1.5,  2,  3,  4,  6,
                                     -0, -0.5, -1, -1.5, -2, -3, -4, -6};
    const double s = g->scale * g->tensor_scale;

    for (size_t k = 0; k < n; k++)
        w[k] = s * level[codes[k] & 15];
}

static void ends(const struct grid_lanes *g, double top, double *low, double *high)
{
    for (size_t r = 0; r < R; r++) {
        low[r] = -top * g->scale[r];
        high[r] = top * g->scale[r];
    }
}

void float_e4m3_ends(const struct grid_lanes *g, double *low, double *high)
{
    ends(g, E4M3_TOP, low, high);
}

void float_e2m1_ends(const struct grid_lanes *g, double *low, double *high)
{
    ends(g, E2M1_TOP, low, high);
}

int float_zero(int bits)
{
    (void)bits;
    return 0;
}

void float_range(double *lo, double *hi)
{
    const double a = fmax(-*lo, *hi);

    *hi = a > 0.0 ? a : 1.0;
    *lo = -*hi;
}

int float_place(const struct grid *grid, double top, const struct grid_fit *f, double hi, double p,
                double *scale, double *zero, int *raised)
{
    *scale = hi * p / top;
    *zero = 0.0;
    return grid_round_scale(grid, f->scale_type, f->tensor_scale, scale, raised);
}
