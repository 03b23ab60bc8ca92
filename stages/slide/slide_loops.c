/* SPDX-License-Identifier: Apache-2.0 */
/* slide_loops - see slide_loops.h. Sums and extremes are taken in LANES lanes, which are put
 * together in their order: the same for all vectors. */
#include "slide_loops.h"

#include "../../common/format/grid_affine.h"

enum { LANES = 8 };

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

EACH_BODY slide_over_body(double *restrict x, const float *restrict w, const float *restrict by,
                          size_t n)
{
    if (by)
        for (size_t k = 0; k < n; k++)
            x[k] = (double)w[k] / (double)by[k];
    else
        for (size_t k = 0; k < n; k++)
            x[k] = (double)w[k];
}

EACH_CPU(slide_over,
         (double *restrict x, const float *restrict w, const float *restrict by, size_t n),
         (x, w, by, n))

EACH_BODY slide_plus_body(double *restrict x, const float *restrict a, double b, size_t n)
{
    for (size_t k = 0; k < n; k++)
        x[k] += (double)a[k] * b;
}

EACH_CPU(slide_plus, (double *restrict x, const float *restrict a, double b, size_t n),
         (x, a, b, n))

EACH_BODY slide_products_body(double *restrict sum, const float *restrict x,
                              const float *restrict y, size_t n)
{
    for (size_t k = 0; k < n; k++)
        sum[k] += (double)x[k] * (double)y[k];
}

EACH_CPU(slide_products,
         (double *restrict sum, const float *restrict x, const float *restrict y, size_t n),
         (sum, x, y, n))

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

size_t slide_first(const double *x, size_t n, double v)
{
    size_t k = 0;

    while (k < n && (x[k] < v || x[k] > v))
        k++;
    return k;
}

EACH_BODY slide_level_body(const double *restrict x, size_t n, double s, double z, double top,
                           double *restrict q)
{
    for (size_t k = 0; k < n; k++) {
        double c = round_even(x[k] / s) + z;

        c = c < 0.0 ? 0.0 : c;
        c = c > top ? top : c;
        q[k] = c;
    }
}

EACH_CPU(slide_level,
         (const double *restrict x, size_t n, double s, double z, double top, double *restrict q),
         (x, n, s, z, top, q))

EACH_BODY slide_value_body(const double *restrict q, size_t n, double s, double z,
                           const float *restrict by, float *restrict out)
{
    if (by)
        for (size_t k = 0; k < n; k++)
            out[k] = (float)(affine_level(s, q[k], z) / (double)by[k]);
    else
        for (size_t k = 0; k < n; k++)
            out[k] = (float)affine_level(s, q[k], z);
}

EACH_CPU(slide_value,
         (const double *restrict q, size_t n, double s, double z, const float *restrict by,
          float *restrict out),
         (q, n, s, z, by, out))

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

EACH_BODY through_body(const double *restrict x, size_t n, double s, double z, double top,
                       double *restrict g, double *restrict sum)
{
    size_t k = 0;

    for (; k + LANES <= n; k += LANES)
        for (size_t j = 0; j < LANES; j++)
            sum[j] += through_one(x[k + j], s, z, top, g + k + j);
    for (size_t j = 0; k < n; k++, j++)
        sum[j] += through_one(x[k], s, z, top, g + k);
}

static void through(const double *restrict x, size_t n, double s, double z, double top,
                    double *restrict g, double *restrict sum);
EACH_CPU(through,
         (const double *restrict x, size_t n, double s, double z, double top, double *restrict g,
          double *restrict sum),
         (x, n, s, z, top, g, sum))

double slide_through(const double *restrict x, size_t n, double s, double z, double top,
                     double *restrict g)
{
    double lane[LANES] = {0}, sum = 0;

    through(x, n, s, z, top, g, lane);
    for (size_t j = 0; j < LANES; j++)
        sum += lane[j];
    return sum;
}
