/* SPDX-License-Identifier: Apache-2.0 */
/* grid_affine - value = scale * (code - zero). Nearest is the true quotient, half to even, the
 * zero point added after. */
#include "grid_affine.h"

#include <math.h>

#define R GRID_LANES

int affine_is(const struct grid *g)
{
    return g->value == affine_value;
}

EACH_BODY values_body(const uint8_t *restrict codes, size_t n, double s, double z,
                      double *restrict w)
{
    for (size_t k = 0; k < n; k++)
        w[k] = affine_level(s, (double)codes[k], z);
}

static void values(const uint8_t *restrict codes, size_t n, double s, double z, double *restrict w);
EACH_CPU(values, (const uint8_t *restrict codes, size_t n, double s, double z, double *restrict w),
         (codes, n, s, z, w))

void affine_value(const struct grid_group *g, const uint8_t *codes, size_t n, double *w)
{
    values(codes, n, g->scale, g->zero, w);
}

/* Adding and taking away 1.5 * 2^52 rounds half to even (the mode every C program starts in) for
 * |x| < 2^51; the clamp to whole numbers far outside every grid changes no code. */
EACH_INLINE double round_even(double x)
{
    const double shift = 6755399441055744.0;

    x = x < -1024.0 ? -1024.0 : x;
    x = x > 1024.0 ? 1024.0 : x;
    return (x + shift) - shift;
}

EACH_INLINE double code_of(double w, double s, double z, double top)
{
    double c = round_even(w / s) + z;

    c = c < 0.0 ? 0.0 : c;
    return c > top ? top : c;
}

EACH_BODY lanes_round_body(const double *restrict w, const double *restrict s,
                           const double *restrict z, double top, double *restrict q,
                           uint8_t *restrict code)
{
    double c[R];

    for (size_t r = 0; r < R; r++)
        c[r] = code_of(w[r], s[r], z[r], top);
    for (size_t r = 0; r < R; r++)
        q[r] = affine_level(s[r], c[r], z[r]);
    for (size_t r = 0; code && r < R; r++)
        code[r] = (uint8_t)(int)c[r];
}

static void lanes_round(const double *restrict w, const double *restrict s,
                        const double *restrict z, double top, double *restrict q,
                        uint8_t *restrict code);
EACH_CPU(lanes_round,
         (const double *restrict w, const double *restrict s, const double *restrict z, double top,
          double *restrict q, uint8_t *restrict code),
         (w, s, z, top, q, code))

void affine_nearest(const struct grid_lanes *g, const double *w, double *q, uint8_t *code)
{
    lanes_round(w, g->scale, g->zero, affine_top(g->bits), q, code);
}

EACH_BODY lanes_ends_body(const double *restrict s, const double *restrict z, double top,
                          double *restrict low, double *restrict high)
{
    for (size_t r = 0; r < R; r++) {
        low[r] = affine_level(s[r], 0.0, z[r]);
        high[r] = affine_level(s[r], top, z[r]);
    }
}

static void lanes_ends(const double *restrict s, const double *restrict z, double top,
                       double *restrict low, double *restrict high);
EACH_CPU(lanes_ends,
         (const double *restrict s, const double *restrict z, double top, double *restrict low,
          double *restrict high),
         (s, z, top, low, high))

void affine_ends(const struct grid_lanes *g, double *low, double *high)
{
    lanes_ends(g->scale, g->zero, affine_top(g->bits), low, high);
}

double affine_top(int bits)
{
    return (double)((1 << bits) - 1);
}

int affine_middle(int bits)
{
    return 1 << (bits - 1);
}

void affine_range_not_empty(double *lo, double *hi)
{
    if (*lo == 0.0 && *hi == 0.0) {
        *lo = -1.0;
        *hi = 1.0;
    }
}

int affine_place(const struct grid_fit *f,
                 int (*store)(enum dtype type, double *scale, int *raised), double lo, double hi,
                 double p, double *scale, double *zero, int *raised)
{
    const double top = affine_top(f->bits), least = f->zero_min;

    *scale = (hi * p - lo * p) / top;
    if (store(f->scale_type, scale, raised))
        return -1;
    if (f->how == ZERO_GIVEN)
        return 0;
    *zero = f->how == ZERO_NEAREST ? nearbyint(-lo * p / *scale)
            : f->how == ZERO_DOWN  ? floor(-lo * p / *scale)
                                   : ceil(-lo * p / *scale);
    if (*zero < least) {
        *zero = least;
        *scale = hi * p / (top - least);
        if (store(f->scale_type, scale, raised))
            return -1;
    }
    *zero = fmin(*zero, top);
    return 0;
}
