/* SPDX-License-Identifier: Apache-2.0 */
/* solve_tile - the vector loops of the solvers: see solve_tile.h. */
#include "solve_tile.h"

#include <string.h>
#include "../../common/base/each_cpu.h"

#define R SOLVE_TILE

size_t solve_tile_count(size_t N)
{
    return N / R + (N % R != 0);
}

/* Some columns of all rows at a time: a tile is written row by row, across its columns, so these
 * are to stay in the cache. */
int solve_tile_load(enum dtype w_type, const void *W, size_t N, size_t K, size_t first,
                    double *tile, size_t ld)
{
    const size_t size = dtype_size(w_type);
    double row[R];

    for (size_t k0 = 0; k0 < K; k0 += R) {
        const size_t n = K - k0 < R ? K - k0 : R;

        for (size_t r = 0; r < R; r++) {
            if (first + r >= N)
                memset(row, 0, sizeof row);
            else if (dtype_to_f64(w_type, (const char *)W + ((first + r) * K + k0) * size, n, row))
                return -1;
            for (size_t k = 0; k < n; k++)
                tile[(k0 + k) * ld + r] = row[k];
        }
    }
    return 0;
}

/* v^1.2 for v in [0, 2] by way of z = v^-0.2: a first guess from the exponent of the float, then
 * Newton's step z (6 - v z^5) / 5, which squares the error; four from 3.4% reach the last bits.
 * v^1.2 = v^2 z^4. */
EACH_INLINE double power_1_2(double v)
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

EACH_BODY tile_power_body(const double *restrict w, const double *restrict q,
                          const double *restrict unit, double *restrict sums)
{
    for (size_t r = 0; r < R; r++) {
        const double d = (q[r] - w[r]) * unit[r];
        sums[r] += power_1_2(d * d);
    }
}

static void tile_power(const double *restrict w, const double *restrict q,
                       const double *restrict unit, double *restrict sums);
EACH_CPU(tile_power,
         (const double *restrict w, const double *restrict q, const double *restrict unit,
          double *restrict sums),
         (w, q, unit, sums))

void solve_tile_error(const double *x, size_t n, const struct grid *grid,
                      const struct grid_lanes *lanes, const double *unit, double *sums)
{
    double q[R];

    for (size_t k = 0; k < n; k++) {
        grid->nearest(lanes, x + k * R, q, NULL);
        tile_power(x + k * R, q, unit, sums);
    }
}

EACH_BODY tile_square_body(const double *restrict w, const double *restrict q, double h,
                           double *restrict sums)
{
    for (size_t r = 0; r < R; r++) {
        const double d = q[r] - w[r];
        sums[r] += h * (d * d);
    }
}

static void tile_square(const double *restrict w, const double *restrict q, double h,
                        double *restrict sums);
EACH_CPU(tile_square,
         (const double *restrict w, const double *restrict q, double h, double *restrict sums),
         (w, q, h, sums))

void solve_tile_weighted(const double *x, size_t n, const struct grid *grid,
                         const struct grid_lanes *lanes, const double *h, double *sums)
{
    double q[R];

    for (size_t k = 0; k < n; k++) {
        grid->nearest(lanes, x + k * R, q, NULL);
        tile_square(x + k * R, q, h[k], sums);
    }
}

EACH_BODY solve_tile_range_body(const double *restrict x, size_t n, double *restrict lo,
                                double *restrict hi)
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

EACH_CPU(solve_tile_range,
         (const double *restrict x, size_t n, double *restrict lo, double *restrict hi),
         (x, n, lo, hi))

EACH_BODY solve_tile_direct_body(const double *restrict w, const double *restrict w0,
                                 const double *restrict q, double u, double by, double *restrict e,
                                 double *restrict fed, double *restrict more,
                                 double *restrict square)
{
    for (size_t r = 0; r < R; r++) {
        const double d = q[r] - w0[r], f = (w[r] - q[r]) / u;

        e[r] = d;
        fed[r] += f * f;
        more[r] += by * (d * d);
        square[r] += d * d;
    }
}

EACH_CPU(solve_tile_direct,
         (const double *restrict w, const double *restrict w0, const double *restrict q, double u,
          double by, double *restrict e, double *restrict fed, double *restrict more,
          double *restrict square),
         (w, w0, q, u, by, e, fed, more, square))

EACH_BODY solve_tile_spread_body(double *restrict x, size_t n, const double *restrict e,
                                 const double *restrict u)
{
    for (size_t k = 0; k < n; k++)
        for (size_t r = 0; r < R; r++)
            x[k * R + r] -= e[r] * u[k];
}

EACH_CPU(solve_tile_spread,
         (double *restrict x, size_t n, const double *restrict e, const double *restrict u),
         (x, n, e, u))
