/* SPDX-License-Identifier: Apache-2.0 */
/* forecast - see forecast.h. */
#include "forecast.h"

#include <math.h>

#include "../tensor/blas_cpu.h"

#define BACK_RATE 30e9
#define BACK_RATE_WIDE 70e9 /* with AVX-512 */
#define BACK_RATE16 1.9     /* times that, by products of bf16 */

/* Measured on runs of 1 to 4 forward workers, 2,048 to 65,536 tokens, 10M and 135M weights. */
#define OWN (0.5 * FORECAST_MIB)
#define THREAD (0.5 * FORECAST_MIB)

void forecast_model(struct forecast *f, const struct sites *sites)
{
    double cells = 0, most = 0, widest;

    f->inputs = f->weights = f->linear = 0;
    for (size_t s = 0; s < sites->count; s++) {
        const struct site *site = &sites->site[s];
        const double K = (double)site->inputs;
        double weights = 0;

        if (s == 0 || site->block != site[-1].block || site->stop != site[-1].stop)
            cells = 0;
        cells += K * (K + 1);
        most = fmax(most, cells);
        for (size_t i = 0; i < site->count; i++) {
            const double w = (double)site->linear[i].rows * K;

            weights += w;
            f->linear = fmax(f->linear, w);
        }
        f->inputs = fmax(f->inputs, K);
        f->weights = fmax(f->weights, weights);
    }
    widest = f->inputs * (f->inputs + 1);
    f->together = most > widest ? most / widest : 1;
}

double forecast_square(const struct forecast *f)
{
    return sizeof(double) * f->inputs * f->inputs;
}

double forecast_triangle(const struct forecast *f)
{
    return sizeof(double) / 2.0 * f->inputs * (f->inputs + 1);
}

double forecast_source(const struct forecast *f)
{
    return 2 * f->weights;
}

double forecast_rows(const struct forecast *f)
{
    return (double)f->chunk * f->inputs * (double)dtype_size(f->acts);
}

double forecast_message(const struct forecast *f)
{
    return forecast_rows(f) * (f->dual ? 2 : 1);
}

double forecast_share(const struct forecast *f)
{
    const uint64_t dealt = (f->lanes + f->forwards - 1) / f->forwards;

    return (double)((dealt * f->chunks + f->lanes - 1) / f->lanes);
}

double forecast_threads(const struct forecast *f, size_t processes)
{
    return processes && f->cores > processes ? (double)(f->cores / processes) : 1;
}

double forecast_blocks(double threads)
{
    return OWN + threads * THREAD;
}

double forecast_back_rate(enum products p)
{
    const struct blas_cpu cpu = blas_cpu();
    const double plain = cpu.avx512 ? BACK_RATE_WIDE : BACK_RATE;

    return cpu.bf16 && p == PRODUCTS_BF16 ? BACK_RATE16 * plain : plain;
}
