/* SPDX-License-Identifier: Apache-2.0 */
/* blas_back16 - what goes back through a linear, of bf16 on both sides, and the rounding that is
 * before it. A CPU without such products multiplies the same numbers in f32. */
#include <stdlib.h>
#include "../base/mem.h"
#include "blas.h"
#include "blas_tile.h"
#include "dtype.h"

enum { PIECE = 1 << 15 }; /* numbers that are rounded at a time */

/* ---- rounding ---- */

struct narrow_job {
    const float *x;
    uint16_t *y;
    size_t n;
};

static int narrow_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct narrow_job *j = ctx;
    const size_t at = i * PIECE;

    (void)worker;
    (void)e;
    dtype_from_f32(DT_BF16, j->x + at, least(PIECE, j->n - at), j->y + at);
    return 0;
}

int blas_narrow(struct par *p, size_t n, const float *x, uint16_t *y, struct err *e)
{
    struct narrow_job j = {.x = x, .y = y, .n = n};

    return par_for(p, ceil_div(n, PIECE), narrow_tile, &j, e);
}

/* ---- products ---- */

struct job {
    size_t T, N, K, lda, ldb, ldc; /* slopes: a [T,N], b [T,K], c [N,K] */
    struct linear_cut cut;
    const uint16_t *a, *b;
    float *c;
    int add;
};

static int product_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct job *j = ctx;
    const size_t t = i / j->cut.across * j->cut.rows, n = i % j->cut.across * j->cut.cols;

    (void)worker;
    return tile_bf16(0, 0, least(j->cut.rows, j->T - t), least(j->cut.cols, j->N - n), j->K,
                     j->a + t * j->lda, j->lda, j->b + n, j->ldb, j->c + t * j->ldc + n, j->ldc,
                     j->add, e);
}

static int slope_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct job *j = ctx;
    const size_t n = i / j->cut.across * j->cut.rows, k = i % j->cut.across * j->cut.cols;

    (void)worker;
    return tile_bf16(1, 0, least(j->cut.rows, j->N - n), least(j->cut.cols, j->K - k), j->T,
                     j->a + n, j->lda, j->b + k, j->ldb, j->c + n * j->ldc + k, j->ldc, 0, e);
}

/* Both sides as f32: rows x columns each, dense. */
struct wide {
    float *a, *b;
};

static float *widen(size_t rows, size_t columns, const uint16_t *x, size_t ld, struct err *e)
{
    size_t n;
    float *w;

    if (mem_mul(rows, columns, &n) < 0) {
        err_set(e, ERR_USE, "product: %zu x %zu numbers are too many", rows, columns);
        return NULL;
    }
    w = mem_raw(n ? n : 1, sizeof *w, e);
    for (size_t i = 0; w && i < rows; i++)
        dtype_to_f32(DT_BF16, x + i * ld, columns, w + i * columns);
    return w;
}

static void wide_release(struct wide *w)
{
    free(w->a);
    free(w->b);
}

static int product_wide(struct par *p, const struct job *j, struct err *e)
{
    struct wide w = {.a = widen(j->T, j->K, j->a, j->lda, e)};
    int rc = -1;

    if (w.a && (w.b = widen(j->K, j->N, j->b, j->ldb, e)))
        rc = blas_product(p, j->T, j->N, j->K, w.a, j->K, w.b, j->N, j->c, j->ldc, j->add, e);
    wide_release(&w);
    return rc;
}

static int slopes_wide(struct par *p, const struct job *j, struct err *e)
{
    struct wide w = {.a = widen(j->T, j->N, j->a, j->lda, e)};
    int rc = -1;

    if (w.a && (w.b = widen(j->T, j->K, j->b, j->ldb, e)))
        rc = blas_slopes(p, j->T, j->N, j->K, w.a, j->N, w.b, j->K, j->c, j->ldc, e);
    wide_release(&w);
    return rc;
}

int blas_product16(struct par *p, size_t T, size_t N, size_t K, const uint16_t *x, size_t ldx,
                   const uint16_t *w, size_t ldw, float *y, size_t ldy, int add, struct err *e)
{
    struct job j = {.T = T,
                    .N = N,
                    .K = K,
                    .a = x,
                    .b = w,
                    .c = y,
                    .lda = ldx,
                    .ldb = ldw,
                    .ldc = ldy,
                    .add = add};

    if (tiles_check("product", e, 4, (const size_t[][2]){{K, ldx}, {N, ldw}, {N, ldy}, {T, T}}) !=
        0)
        return -1;
    if (T == 0 || N == 0)
        return 0;
    if (K == 0)
        return err_set(e, ERR_USE, "product: no inputs");
    if (!tile_bf16_works())
        return product_wide(p, &j, e);
    j.cut = linear_cut(T, N, K);
    return par_for(p, ceil_div(T, j.cut.rows) * j.cut.across, product_tile, &j, e);
}

int blas_slopes16(struct par *p, size_t T, size_t M, size_t N, const uint16_t *a, size_t lda,
                  const uint16_t *b, size_t ldb, float *c, size_t ldc, struct err *e)
{
    struct job j = {
        .T = T, .N = M, .K = N, .a = a, .b = b, .c = c, .lda = lda, .ldb = ldb, .ldc = ldc};

    if (T == 0)
        return err_set(e, ERR_USE, "slopes: no rows");
    if (tiles_check("slopes", e, 4, (const size_t[][2]){{M, lda}, {N, ldb}, {N, ldc}, {T, T}}) != 0)
        return -1;
    if (!tile_bf16_works())
        return slopes_wide(p, &j, e);
    j.cut = slope_cut(M, N);
    return par_for(p, ceil_div(M, j.cut.rows) * j.cut.across, slope_tile, &j, e);
}

int blas_tile16(int ta, int tb, size_t M, size_t N, size_t K, const uint16_t *a, size_t lda,
                const uint16_t *b, size_t ldb, float *c, size_t ldc, int add, struct err *e)
{
    if (tiles_check("tile", e, 3,
                    (const size_t[][2]){{ta ? M : K, lda}, {tb ? K : N, ldb}, {N, ldc}}) != 0)
        return -1;
    if (!tile_bf16_works())
        return err_set(e, ERR_USE, "tile: this CPU has no products of bf16");
    return M && N && K ? tile_bf16(ta, tb, M, N, K, a, lda, b, ldb, c, ldc, add, e) : 0;
}
