/* SPDX-License-Identifier: Apache-2.0 */
/* blas - products by OpenBLAS, LAPACK and (blas_dnnl.c) oneDNN; no other file knows them.
 *
 * Every product is cut into tiles whose place and shape follow from the shape of the problem
 * alone; a tile is one single-threaded library call, and tiles run in parallel on a struct par.
 * That is what makes the bytes independent of threads: the libraries themselves round
 * differently for other thread counts and row blocks. f32 and bf16 products are oneDNN matmul
 * primitives, kept by shape; the f32 tiles of the way back of attention, whose shapes vary, go
 * through its plain sgemm. Without oneDNN (PTQ_DNNL not defined) all is OpenBLAS, and bf16 is
 * widened first. bf16 products are exact in f32, only their sum rounds. Products in f64 are in
 * blas_f64.c, those of bf16 rows with bf16 weights in blas_bf16.c, their way back in blas_back16.c.
 *
 * Leaves out: integer products, GPUs, products with more than two dimensions. */
#include "blas.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "blas_openblas.h"
#include "blas_tile.h"
#include "dtype.h"

enum { CROSS_TILE = 256, GRAM_PIECE = 32 };

/* ---- what the numbers depend on ---- */

static char kernel_text[128];

static void kernel_describe(void)
{
    const struct openblas *lib = openblas(NULL);

    snprintf(kernel_text, sizeof kernel_text, "openblas/%s", lib ? lib->corename() : "missing");
    tile_describe(kernel_text + strlen(kernel_text), sizeof kernel_text - strlen(kernel_text));
}

const char *blas_kernel(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, kernel_describe);
    return kernel_text;
}

#ifndef PTQ_DNNL
/* ---- tiles without oneDNN ---- */

int tile_load(struct err *e)
{
    return openblas(e) ? 0 : -1;
}

void tile_describe(char *text, size_t room)
{
    snprintf(text, room, "%s", "");
}

int tile_f32(int ta, int tb, size_t M, size_t N, size_t K, const float *a, size_t lda,
             const float *b, size_t ldb, float *c, size_t ldc, int add, struct err *e)
{
    const struct openblas *lib = openblas(e);

    if (!lib)
        return -1;
    lib->sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
               (int)M, (int)N, (int)K, 1.0f, a, (int)lda, b, (int)ldb, add ? 1.0f : 0.0f, c,
               (int)ldc);
    return 0;
}

int tile_bf16_works(void)
{
    return 0;
}

int tile_bf16(int ta, int tb, size_t M, size_t N, size_t K, const uint16_t *a, size_t lda,
              const uint16_t *b, size_t ldb, float *c, size_t ldc, int add, struct err *e)
{
    (void)ta;
    (void)tb;
    (void)M;
    (void)N;
    (void)K;
    (void)a;
    (void)lda;
    (void)b;
    (void)ldb;
    (void)c;
    (void)ldc;
    (void)add;
    return err_set(e, ERR_SYS, "bf16 products need oneDNN");
}

int tile_sgemm(int ta, int tb, size_t M, size_t N, size_t K, float alpha, const float *a,
               size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc,
               struct err *e)
{
    const struct openblas *lib = openblas(e);

    if (!lib)
        return -1;
    lib->sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
               (int)M, (int)N, (int)K, alpha, a, (int)lda, b, (int)ldb, beta, c, (int)ldc);
    return 0;
}
#endif

/* ---- f32 products ---- */

struct linear_job {
    size_t T, N, K;
    struct linear_cut cut;
    const float *x, *w;
    size_t ldx, ldw, ldy;
    float *y;
    int add;
};

static int linear_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct linear_job *j = ctx;
    size_t t = i / j->cut.across * j->cut.rows, n = i % j->cut.across * j->cut.cols;

    (void)worker;
    return tile_f32(0, 1, least(j->cut.rows, j->T - t), least(j->cut.cols, j->N - n), j->K,
                    j->x + t * j->ldx, j->ldx, j->w + n * j->ldw, j->ldw, j->y + t * j->ldy + n,
                    j->ldy, j->add, e);
}

/* wide: numbers of a row of w. */
static int linear_run(struct par *p, const char *name, size_t wide, tile_fn *tile,
                      struct linear_job j, struct err *e)
{
    if (tiles_check(name, e, 4,
                    (const size_t[][2]){{j.K, j.ldx}, {wide, j.ldw}, {j.N, j.ldy}, {j.T, j.T}}) !=
        0)
        return -1;
    if (j.T == 0 || j.N == 0)
        return 0;
    if (j.K == 0)
        return err_set(e, ERR_USE, "%s: no inputs", name);
    j.cut = linear_cut(j.T, j.N, j.K);
    return par_for(p, ceil_div(j.T, j.cut.rows) * j.cut.across, tile, &j, e);
}

int blas_linear(struct par *p, size_t T, size_t N, size_t K, const float *x, size_t ldx,
                const float *w, size_t ldw, float *y, size_t ldy, int add, struct err *e)
{
    return linear_run(p, "linear", K, linear_tile,
                      (struct linear_job){.T = T,
                                          .N = N,
                                          .K = K,
                                          .x = x,
                                          .w = w,
                                          .ldx = ldx,
                                          .ldw = ldw,
                                          .ldy = ldy,
                                          .y = y,
                                          .add = add},
                      e);
}

int blas_sgemm(int ta, int tb, size_t M, size_t N, size_t K, float alpha, const float *a,
               size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc,
               struct err *e)
{
    if (tiles_check("sgemm", e, 3,
                    (const size_t[][2]){{ta ? M : K, lda}, {tb ? K : N, ldb}, {N, ldc}}) != 0 ||
        tiles_check("sgemm", e, 3, (const size_t[][2]){{M, M}, {N, N}, {K, K}}) != 0)
        return -1;
    if (M == 0 || N == 0)
        return 0;
    return tile_sgemm(ta, tb, M, N, K, alpha, a, lda, b, ldb, beta, c, ldc, e);
}

/* ---- X'X ---- */

struct gram_job {
    size_t T, K, ldx, lds, panels;
    const uint16_t *x16;
    const float *x32;
    float *s; /* [K, K], or with take a panel of each worker */
    int (*take)(void *ctx, size_t row, size_t rows, const float *panel, size_t ld, struct err *e);
    void *ctx;
};

/* rows x cols of S from (r, c) on. */
static int gram_tile(const struct gram_job *j, size_t r, size_t rows, size_t c, size_t cols,
                     float *s, struct err *e)
{
    return j->x16 ? tile_bf16(1, 0, rows, cols, j->T, j->x16 + r, j->ldx, j->x16 + c, j->ldx, s,
                              j->lds, 0, e)
                  : tile_f32(1, 0, rows, cols, j->T, j->x32 + r, j->ldx, j->x32 + c, j->ldx, s,
                             j->lds, 0, e);
}

/* Rows [r, r + rows) up to the diagonal: all columns before r at once, then the others by pieces so
 * small that they waste little above it. */
static int gram_pieces(const struct gram_job *j, size_t r, size_t rows, float *s, struct err *e)
{
    int rc = r ? gram_tile(j, r, rows, 0, r, s, e) : 0;

    for (size_t d = 0, n; rc == 0 && d < rows; d += n) {
        n = least(GRAM_PIECE, rows - d);
        rc = gram_tile(j, r + d, n, r, d + n, s + d * j->lds + r, e);
    }
    return rc;
}

/* Panel of rows [r, r + BLAS_GRAM_ROWS). Those of bf16 are one tile: the library packs the columns
 * of each piece again, which takes longer than what pieces save. So is one that is all of S, which
 * may be dense: the library has another kernel then. */
static int gram_panel(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct gram_job *j = ctx;
    size_t r = (j->panels - 1 - i) * BLAS_GRAM_ROWS; /* the longest first */
    size_t rows = least(BLAS_GRAM_ROWS, j->K - r);
    float *s = j->s + (j->take ? worker * BLAS_GRAM_ROWS : r) * j->lds;
    int rc = j->x16 || j->panels == 1 ? gram_tile(j, r, rows, 0, r + rows, s, e)
                                      : gram_pieces(j, r, rows, s, e);

    return rc < 0 || !j->take ? rc : j->take(j->ctx, r, rows, s, j->lds, e);
}

/* For CPUs without bf16 products: the same numbers in f32, blas_row(K) apart. */
static float *gram_widen(size_t T, size_t K, const uint16_t *x, size_t ldx, struct err *e)
{
    const size_t ld = blas_row(K);
    size_t n;
    float *w;

    if (mem_mul(T, ld, &n) != 0) {
        err_set(e, ERR_USE, "gram: %zu x %zu inputs are too many", T, K);
        return NULL;
    }
    w = mem_raw(n, sizeof *w, e);
    for (size_t t = 0; w && t < T; t++)
        dtype_to_f32(DT_BF16, x + t * ldx, K, w + t * ld);
    return w;
}

static int gram_run(struct par *p, struct gram_job j, struct err *e)
{
    float *wide = NULL;
    int rc;

    if (!j.x16 == !j.x32)
        return err_set(e, ERR_USE, "gram: inputs are either bf16 or f32");
    if (j.T == 0)
        return err_set(e, ERR_USE, "gram: no rows");
    if (tiles_check("gram", e, 3, (const size_t[][2]){{j.K, j.ldx}, {j.K, j.lds}, {j.T, j.T}}) != 0)
        return -1;
    if (j.x16 && !tile_bf16_works()) {
        wide = gram_widen(j.T, j.K, j.x16, j.ldx, e);
        if (!wide)
            return -1;
        j.x16 = NULL;
        j.x32 = wide;
        j.ldx = blas_row(j.K);
    }
    j.panels = ceil_div(j.K, BLAS_GRAM_ROWS);
    rc = par_for(p, j.panels, gram_panel, &j, e);
    free(wide);
    return rc;
}

int blas_gram(struct par *p, size_t T, size_t K, const uint16_t *x16, const float *x32, size_t ldx,
              float *s, size_t lds, struct err *e)
{
    return gram_run(
        p,
        (struct gram_job){.T = T, .K = K, .ldx = ldx, .lds = lds, .x16 = x16, .x32 = x32, .s = s},
        e);
}

int blas_gram_each(struct par *p, size_t T, size_t K, const uint16_t *x16, const float *x32,
                   size_t ldx,
                   int (*take)(void *ctx, size_t row, size_t rows, const float *panel, size_t ld,
                               struct err *e),
                   void *ctx, struct err *e)
{
    struct gram_job j = {
        .T = T, .K = K, .ldx = ldx, .lds = K, .x16 = x16, .x32 = x32, .take = take, .ctx = ctx};
    size_t n;
    int rc;

    if (mem_mul(K, (p ? par_threads(p) : 1) * BLAS_GRAM_ROWS, &n) < 0)
        return err_set(e, ERR_USE, "gram: %zu inputs are too many", K);
    if (!(j.s = mem_raw(n, sizeof *j.s, e)))
        return -1;
    rc = gram_run(p, j, e);
    free(j.s);
    return rc;
}

struct cross_job {
    size_t T, M, N, lda, ldb, ldc;
    struct linear_cut cut;
    const float *a, *b;
    float *c;
};

static int cross_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct cross_job *j = ctx;
    size_t m = i / j->cut.across * j->cut.rows, n = i % j->cut.across * j->cut.cols;

    (void)worker;
    return tile_f32(1, 0, least(j->cut.rows, j->M - m), least(j->cut.cols, j->N - n), j->T,
                    j->a + m, j->lda, j->b + n, j->ldb, j->c + m * j->ldc + n, j->ldc, 0, e);
}

static int cross_run(struct par *p, const char *name, struct linear_cut cut, size_t T, size_t M,
                     size_t N, const float *a, size_t lda, const float *b, size_t ldb, float *c,
                     size_t ldc, struct err *e)
{
    struct cross_job j = {.T = T,
                          .M = M,
                          .N = N,
                          .lda = lda,
                          .ldb = ldb,
                          .ldc = ldc,
                          .cut = cut,
                          .a = a,
                          .b = b,
                          .c = c};

    if (T == 0)
        return err_set(e, ERR_USE, "%s: no rows", name);
    if (tiles_check(name, e, 4, (const size_t[][2]){{M, lda}, {N, ldb}, {N, ldc}, {T, T}}) != 0)
        return -1;
    return par_for(p, ceil_div(M, cut.rows) * cut.across, cross_tile, &j, e);
}

int blas_cross(struct par *p, size_t T, size_t M, size_t N, const float *a, size_t lda,
               const float *b, size_t ldb, float *c, size_t ldc, struct err *e)
{
    const struct linear_cut cut = {
        .rows = CROSS_TILE, .cols = CROSS_TILE, .across = ceil_div(N, CROSS_TILE)};

    return cross_run(p, "cross", cut, T, M, N, a, lda, b, ldb, c, ldc, e);
}

int blas_slopes(struct par *p, size_t T, size_t M, size_t N, const float *a, size_t lda,
                const float *b, size_t ldb, float *c, size_t ldc, struct err *e)
{
    return cross_run(p, "slopes", slope_cut(M, N), T, M, N, a, lda, b, ldb, c, ldc, e);
}

static int product_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct linear_job *j = ctx;
    size_t t = i / j->cut.across * j->cut.rows, n = i % j->cut.across * j->cut.cols;

    (void)worker;
    return tile_f32(0, 0, least(j->cut.rows, j->T - t), least(j->cut.cols, j->N - n), j->K,
                    j->x + t * j->ldx, j->ldx, j->w + n, j->ldw, j->y + t * j->ldy + n, j->ldy,
                    j->add, e);
}

int blas_product(struct par *p, size_t T, size_t N, size_t K, const float *x, size_t ldx,
                 const float *w, size_t ldw, float *y, size_t ldy, int add, struct err *e)
{
    return linear_run(p, "product", N, product_tile,
                      (struct linear_job){.T = T,
                                          .N = N,
                                          .K = K,
                                          .x = x,
                                          .w = w,
                                          .ldx = ldx,
                                          .ldw = ldw,
                                          .ldy = ldy,
                                          .y = y,
                                          .add = add},
                      e);
}

const struct blas_table blas_products = {.has_bf16 = blas_has_bf16,
                                         .linear = blas_linear,
                                         .linear16 = blas_linear16,
                                         .product = blas_product,
                                         .product16 = blas_product16,
                                         .cross = blas_cross,
                                         .slopes = blas_slopes,
                                         .slopes16 = blas_slopes16,
                                         .narrow = blas_narrow,
                                         .sgemm = blas_sgemm,
                                         .tile16 = blas_tile16};
