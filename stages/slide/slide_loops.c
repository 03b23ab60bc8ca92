/* SPDX-License-Identifier: Apache-2.0 */
/* slide_loops - see slide_loops.h. Sums and extremes are taken in LANES lanes, which are put
 * together in their order: the same for all vectors. */
#include "slide_loops.h"

#include <stdint.h>
#include "../../common/format/grid_affine.h"

enum { LANES = 8, SOME = 64 };

EACH_BODY slide_times_body(double *restrict x, const float *restrict w, const float *restrict by,
                           size_t n)
{
    if (by)
        for (size_t k = 0; k < n; k++)
            x[k] = (double)w[k] * (double)by[k];
    else
        for (size_t k = 0; k < n; k++)
            x[k] = (double)w[k];
}

EACH_CPU(slide_times,
         (double *restrict x, const float *restrict w, const float *restrict by, size_t n),
         (x, w, by, n))

EACH_BODY slide_over_body(float *restrict y, const double *restrict x, const float *restrict by,
                          size_t n)
{
    if (by)
        for (size_t k = 0; k < n; k++)
            y[k] = (float)(x[k] / (double)by[k]);
    else
        for (size_t k = 0; k < n; k++)
            y[k] = (float)x[k];
}

EACH_CPU(slide_over,
         (float *restrict y, const double *restrict x, const float *restrict by, size_t n),
         (y, x, by, n))

/* By fours: x is read and written less often, the sums are the same. */
EACH_BODY slide_plus_body(double *restrict x, const float *restrict a, const float *restrict b,
                          size_t step, size_t terms, size_t n)
{
    size_t r = 0;

    for (; r + 4 <= terms; r += 4) {
        const float *restrict y = a + r * n;
        const double b0 = (double)b[r * step], b1 = (double)b[(r + 1) * step],
                     b2 = (double)b[(r + 2) * step], b3 = (double)b[(r + 3) * step];

        for (size_t k = 0; k < n; k++)
            x[k] =
                (((x[k] + (double)y[k] * b0) + (double)y[n + k] * b1) + (double)y[2 * n + k] * b2) +
                (double)y[3 * n + k] * b3;
    }
    for (; r < terms; r++)
        for (size_t k = 0; k < n; k++)
            x[k] += (double)a[r * n + k] * (double)b[r * step];
}

EACH_CPU(slide_plus,
         (double *restrict x, const float *restrict a, const float *restrict b, size_t step,
          size_t terms, size_t n),
         (x, a, b, step, terms, n))

EACH_BODY slide_products_body(double *restrict sum, const float *restrict x,
                              const float *restrict y, size_t n)
{
    for (size_t k = 0; k < n; k++)
        sum[k] += (double)x[k] * (double)y[k];
}

EACH_CPU(slide_products,
         (double *restrict sum, const float *restrict x, const float *restrict y, size_t n),
         (sum, x, y, n))

EACH_BODY apart_body(float *restrict y, const float *restrict z, size_t n, int slope, double by,
                     double *restrict sum)
{
    size_t k = 0;

    for (; k + LANES <= n; k += LANES)
        for (size_t j = 0; j < LANES; j++) {
            const double x = (double)y[k + j] - (z ? (double)z[k + j] : 0);

            sum[j] += x * x;
            y[k + j] = slope ? (float)(2 * by * x) : y[k + j];
        }
    for (size_t j = 0; k < n; k++, j++) {
        const double x = (double)y[k] - (z ? (double)z[k] : 0);

        sum[j] += x * x;
        y[k] = slope ? (float)(2 * by * x) : y[k];
    }
}

static void apart(float *restrict y, const float *restrict z, size_t n, int slope, double by,
                  double *restrict sum);
EACH_CPU(apart,
         (float *restrict y, const float *restrict z, size_t n, int slope, double by,
          double *restrict sum),
         (y, z, n, slope, by, sum))

double slide_apart(float *restrict y, const float *restrict z, size_t n, int slope, double by)
{
    double lane[LANES] = {0}, sum = 0;

    apart(y, z, n, slope, by, lane);
    for (size_t j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}

EACH_BODY slide_ends_body(const double *restrict x, size_t n, double *lo, double *hi)
{
    double least[LANES] = {0}, most[LANES] = {0};
    size_t k = 0;

    for (; k + LANES <= n; k += LANES)
        for (size_t j = 0; j < LANES; j++) {
            least[j] = x[k + j] < least[j] ? x[k + j] : least[j];
            most[j] = x[k + j] > most[j] ? x[k + j] : most[j];
        }
    for (size_t j = 0; k < n; k++, j++) {
        least[j] = x[k] < least[j] ? x[k] : least[j];
        most[j] = x[k] > most[j] ? x[k] : most[j];
    }
    *lo = *hi = 0;
    for (size_t j = 0; j < LANES; j++) {
        *lo = least[j] < *lo ? least[j] : *lo;
        *hi = most[j] > *hi ? most[j] : *hi;
    }
}

EACH_CPU(slide_ends, (const double *restrict x, size_t n, double *lo, double *hi), (x, n, lo, hi))

/* The first LANES among which v is. */
EACH_BODY near_body(const double *restrict x, size_t n, double v, size_t *restrict at)
{
    size_t k = 0;

    for (uint64_t found = 0; k + LANES <= n; k += LANES) {
        for (size_t j = 0; j < LANES; j++)
            found += x[k + j] >= v && x[k + j] <= v ? 1u : 0u;
        if (found)
            break;
    }
    *at = k;
}

static void near(const double *restrict x, size_t n, double v, size_t *restrict at);
EACH_CPU(near, (const double *restrict x, size_t n, double v, size_t *restrict at), (x, n, v, at))

size_t slide_first(const double *x, size_t n, double v)
{
    size_t k;

    near(x, n, v, &k);
    while (k < n && (x[k] < v || x[k] > v))
        k++;
    return k;
}

EACH_INLINE double level(double x, double s, double z, double top)
{
    const double c = round_even(x / s) + z, least = c < 0.0 ? 0.0 : c;

    return least > top ? top : least;
}

EACH_BODY slide_level_body(const double *restrict x, size_t n, double s, double z, double top,
                           double *restrict q)
{
    for (size_t k = 0; k < n; k++)
        q[k] = level(x[k], s, z, top);
}

EACH_CPU(slide_level,
         (const double *restrict x, size_t n, double s, double z, double top, double *restrict q),
         (x, n, s, z, top, q))

EACH_BODY slide_value_body(const double *restrict x, size_t n, double s, double z, double top,
                           const float *restrict by, float *restrict out)
{
    if (by)
        for (size_t k = 0; k < n; k++)
            out[k] = (float)(affine_level(s, level(x[k], s, z, top), z) / (double)by[k]);
    else
        for (size_t k = 0; k < n; k++)
            out[k] = (float)affine_level(s, level(x[k], s, z, top), z);
}

EACH_CPU(slide_value,
         (const double *restrict x, size_t n, double s, double z, double top,
          const float *restrict by, float *restrict out),
         (x, n, s, z, top, by, out))

/* One weight: its gradient, and by how much that of the scale grows. */
EACH_INLINE double through_one(double x, double s, double z, double top, double *g)
{
    const double at = x / s, v = round_even(at) + z;
    const double c = v < 0.0 ? 0.0 : v > top ? top : v;
    const double in = v < 0.0 || v > top ? 0.0 : 1.0;
    const double by = *g * ((c - z) - in * at);

    *g *= in;
    return by;
}

/* Some weights at a time, so that what is between stays near. */
EACH_BODY through_body(const double *restrict x, size_t n, double s, double z, double top,
                       const float *restrict g, const float *restrict by, float *restrict to,
                       double *restrict sum)
{
    double some[SOME];

    for (size_t first = 0; first < n; first += SOME) {
        const size_t m = n - first < SOME ? n - first : SOME;
        size_t k = 0;

        if (by)
            for (size_t j = 0; j < m; j++)
                some[j] = (double)g[first + j] / (double)by[first + j];
        else
            for (size_t j = 0; j < m; j++)
                some[j] = (double)g[first + j];
        for (; k + LANES <= m; k += LANES)
            for (size_t j = 0; j < LANES; j++)
                sum[j] += through_one(x[first + k + j], s, z, top, some + k + j);
        for (size_t j = 0; k < m; k++, j++)
            sum[j] += through_one(x[first + k], s, z, top, some + k);
        for (size_t j = 0; j < m; j++)
            to[first + j] = (float)some[j];
    }
}

static void through(const double *restrict x, size_t n, double s, double z, double top,
                    const float *restrict g, const float *restrict by, float *restrict to,
                    double *restrict sum);
EACH_CPU(through,
         (const double *restrict x, size_t n, double s, double z, double top,
          const float *restrict g, const float *restrict by, float *restrict to,
          double *restrict sum),
         (x, n, s, z, top, g, by, to, sum))

double slide_through(const double *restrict x, size_t n, double s, double z, double top,
                     const float *restrict g, const float *restrict by, float *restrict to)
{
    double lane[LANES] = {0}, sum = 0;

    through(x, n, s, z, top, g, by, to, lane);
    for (size_t j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}
