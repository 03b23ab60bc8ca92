/* SPDX-License-Identifier: Apache-2.0 */
/* blas_f64 - products in f64 by OpenBLAS, for the solvers. */
#include "blas.h"
#include "blas_openblas.h"
#include "blas_tile.h"

/* Of a tile: the wider it is, the less often the first factor is packed. */
enum { DGEMM_ROWS = 256, DGEMM_COLS = 512 };

struct dgemm_job {
    int ta, tb;
    size_t M, N, K, across, lda, ldb, ldc;
    double alpha, beta;
    const double *a, *b;
    double *c;
};

static int dgemm_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct dgemm_job *j = ctx;
    const struct openblas *lib = openblas(e);
    size_t m = i / j->across * DGEMM_ROWS, n = i % j->across * DGEMM_COLS;

    (void)worker;
    if (!lib)
        return -1;
    lib->dgemm(CblasRowMajor, j->ta ? CblasTrans : CblasNoTrans, j->tb ? CblasTrans : CblasNoTrans,
               (int)least(DGEMM_ROWS, j->M - m), (int)least(DGEMM_COLS, j->N - n), (int)j->K,
               j->alpha, j->ta ? j->a + m : j->a + m * j->lda, (int)j->lda,
               j->tb ? j->b + n * j->ldb : j->b + n, (int)j->ldb, j->beta, j->c + m * j->ldc + n,
               (int)j->ldc);
    return 0;
}

int blas_dgemm(struct par *p, int ta, int tb, size_t M, size_t N, size_t K, double alpha,
               const double *a, size_t lda, const double *b, size_t ldb, double beta, double *c,
               size_t ldc, struct err *e)
{
    struct dgemm_job j = {.ta = ta,
                          .tb = tb,
                          .M = M,
                          .N = N,
                          .K = K,
                          .across = ceil_div(N, DGEMM_COLS),
                          .lda = lda,
                          .ldb = ldb,
                          .ldc = ldc,
                          .alpha = alpha,
                          .beta = beta,
                          .a = a,
                          .b = b,
                          .c = c};

    if (tiles_check("dgemm", e, 3,
                    (const size_t[][2]){{ta ? M : K, lda}, {tb ? K : N, ldb}, {N, ldc}}) != 0 ||
        tiles_check("dgemm", e, 3, (const size_t[][2]){{M, M}, {N, N}, {K, K}}) != 0)
        return -1;
    return par_for(p, ceil_div(M, DGEMM_ROWS) * j.across, dgemm_tile, &j, e);
}
