/* SPDX-License-Identifier: Apache-2.0 */
/* peak - what this machine can do, and what a run needs at least.
 *
 *   peak                          best f32 product rate of blas.h on all cores, GF/s
 *   peak core                     those of one core in f32 and f64, by its own CPU seconds
 *   peak MODEL TOKENS LENGTH      flops that a GPTQ run cannot do without, one "name value" a line
 *
 * Counted as useful: forward 2 flops per weight of the blocks' linears and token (without the
 * last linear, whose output nobody needs), attention 4 d_attn (LENGTH / 2) per token and block,
 * one triangle of S per site K^2 per token (multiply and add), solve N K^2 + 1/3 K^3 per site.
 * Not counted: norms, activations, sampling, packing, compression, copies. `losses`: the products
 * behind the losses that each solution carries, N K^2 per site for what the weights themselves give
 * out (in bf16 or f32); useful, but not for the codes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../common/base/clock.h"
#include "../../common/base/cpu.h"
#include "../../common/base/mem.h"
#include "../../common/base/par.h"
#include "../../common/model/config.h"
#include "../../common/model/config_read.h"
#include "../../common/model/sites.h"
#include "../../common/tensor/blas.h"

#define SIDE 2048
#define TILE 1024
#define SECONDS 2.0

struct tiles {
    const float *a, *b;
    float *c;
};

static int tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    struct tiles *t = ctx;

    (void)i;
    return blas_sgemm(0, 0, TILE, TILE, TILE, 1, t->a, TILE, t->b, TILE, 0,
                      t->c + worker * TILE * TILE, TILE, e);
}

/* Best rate of repeated products; library: 0 blas_linear, 1 a blas_sgemm tile on every core. */
static int best_rate(struct par *p, int library, const float *a, const float *b, float *c,
                     double *best, struct err *e)
{
    double end = clock_wall() + SECONDS;
    size_t threads = par_threads(p);

    while (clock_wall() < end) {
        struct tiles t = {a, b, c};
        double began = clock_wall(), flops, rate;
        int rc;

        if (library == 0) {
            flops = 2.0 * SIDE * SIDE * SIDE;
            rc = blas_linear(p, SIDE, SIDE, SIDE, a, SIDE, b, SIDE, c, SIDE, 0, e);
        } else {
            flops = 2.0 * TILE * TILE * TILE * (double)threads;
            rc = par_for(p, threads, tile, &t, e);
        }
        if (rc != 0)
            return -1;
        rate = flops / (clock_wall() - began);
        *best = rate > *best ? rate : *best;
    }
    return 0;
}

/* Repeated products of one tile in this thread, by its own seconds: what others do meanwhile does
 * not count. */
static int core_rate(int f64, double *best, struct err *e)
{
    const size_t n = (size_t)TILE * TILE;
    double *a = mem_raw(3 * n, sizeof *a, e), *b = a ? a + n : NULL, end = clock_thread() + 1;
    float *x = (float *)a, *y = (float *)b;
    int rc = a ? 0 : -1;

    for (size_t i = 0; a && i < 2 * n; i++)
        if (f64)
            a[i] = (double)(i % 13) * 0.1 - 0.5;
        else
            x[i] = y[i] = (float)(i % 13) * 0.1F - 0.5F;
    while (rc == 0 && clock_thread() < end) {
        const double began = clock_thread();

        rc = f64 ? blas_dgemm(NULL, 0, 0, TILE, TILE, TILE, 1, a, TILE, b, TILE, 0, b + n, TILE, e)
                 : blas_sgemm(0, 0, TILE, TILE, TILE, 1, x, TILE, y, TILE, 0, y + n, TILE, e);
        *best = fmax(*best, 2.0 * TILE * TILE * TILE / (clock_thread() - began));
    }
    free(a);
    return rc;
}

static int measure_core(struct err *e)
{
    double f32 = 0, f64 = 0;

    if (core_rate(0, &f32, e) < 0 || core_rate(1, &f64, e) < 0)
        return -1;
    printf("%.1f %.1f\n", f32 / 1e9, f64 / 1e9);
    return 0;
}

static int measure(struct err *e)
{
    size_t threads = cpu_count(), n = (size_t)SIDE * SIDE;
    struct par *p = par_open(threads, e);
    float *a = mem_raw(n, sizeof *a, e), *b = mem_raw(n, sizeof *b, e);
    float *c = mem_raw(n > threads * TILE * TILE ? n : threads * TILE * TILE, sizeof *c, e);
    double best = 0;
    int rc = -1;

    if (p && a && b && c) {
        for (size_t i = 0; i < n; i++) {
            a[i] = (float)(i % 13) * 0.1F - 0.5F;
            b[i] = (float)(i % 17) * 0.1F - 0.7F;
        }
        rc = best_rate(p, 0, a, b, c, &best, e) < 0 ? -1 : best_rate(p, 1, a, b, c, &best, e);
    }
    if (rc == 0)
        printf("%.1f\n", best / 1e9);
    free(c);
    free(b);
    free(a);
    par_close(&p);
    return rc;
}

static int count(const char *dir, double tokens, double length, struct err *e)
{
    double weights = 0, gram = 0, solve = 0, losses = 0, last = 0;
    struct config c;
    struct sites sites = {0};

    if (config_read(dir, &c, e) < 0)
        return -1;
    if (sites_make(&sites, &c, e) < 0) {
        sites_release(&sites);
        config_release(&c);
        return -1;
    }
    for (size_t s = 0; s < sites.count; s++) {
        const struct site *site = &sites.site[s];
        double K = (double)site->inputs, N = 0;

        for (size_t i = 0; i < site->count; i++)
            N += (double)site->linear[i].rows;
        weights += N * K;
        gram += K * K;
        solve += N * K * K + 1.0 / 3 * K * K * K;
        losses += N * K * K;
        last = N * K;
    }
    printf("forward %.6g\n", 2 * tokens * (weights - last));
    printf("attention %.6g\n",
           tokens * (double)c.layers * 4 * (double)(c.heads * c.head_dim) * length / 2);
    printf("hessian %.6g\n", tokens * gram);
    printf("solve %.6g\n", solve);
    printf("losses %.6g\n", losses);
    sites_release(&sites);
    config_release(&c);
    return 0;
}

int main(int argc, char **argv)
{
    struct err e = {0};
    const int core = argc == 2 && strcmp(argv[1], "core") == 0;
    int rc;

    if (argc != 1 && argc != 4 && !core) {
        fputs("usage: peak [core | MODEL TOKENS LENGTH]\n", stderr);
        return ERR_USE;
    }
    rc = blas_start(&e);
    if (rc == 0)
        rc = core        ? measure_core(&e)
             : argc == 1 ? measure(&e)
                         : count(argv[1], atof(argv[2]), atof(argv[3]), &e);
    if (rc != 0)
        fprintf(stderr, "peak: fatal: %s\n", e.text);
    return err_exit(&e);
}
