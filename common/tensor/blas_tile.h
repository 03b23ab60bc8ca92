/* SPDX-License-Identifier: Apache-2.0 */
/* blas_tile - one tile of a product, on one thread, and many of them in parallel: what blas.c and
 * blas_f64.c cut their products into. blas_dnnl.c has the f32 ones where the build has oneDNN,
 * blas.c by OpenBLAS otherwise. Nobody else includes this. */
#ifndef PTQ_BLAS_TILE_H
#define PTQ_BLAS_TILE_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../base/par.h"

typedef int tile_fn(void *ctx, size_t i, size_t worker, struct err *e);

/* ERR_USE unless each {row, distance between rows} fits: the libraries count in int, and a
 * distance shorter than its row would read somebody else's memory. */
int tiles_check(const char *product, struct err *e, size_t n, const size_t (*dims)[2]);

/* How a product of rows with the transpose of [N, K] is cut: tiles of rows x cols, `across` of them
 * beside each other. */
struct linear_cut {
    size_t rows, cols, across;
};
struct linear_cut linear_cut(size_t T, size_t N, size_t K);
/* The same of the gradient of weights [M, N]: a share for each of a few threads. */
struct linear_cut slope_cut(size_t M, size_t N);

static inline size_t ceil_div(size_t a, size_t b)
{
    return a / b + (a % b != 0);
}

static inline size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The library of the f32 tiles is loaded; -1 with the reason in e (which may be NULL). */
int tile_load(struct err *e);
/* C[M,N] (+)= op(A) op(B), f32. */
int tile_f32(int ta, int tb, size_t M, size_t N, size_t K, const float *a, size_t lda,
             const float *b, size_t ldb, float *c, size_t ldc, int add, struct err *e);
/* The same for shapes that vary without end: nothing is kept by shape. Dimensions fit an int. */
int tile_sgemm(int ta, int tb, size_t M, size_t N, size_t K, float alpha, const float *a,
               size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc,
               struct err *e);
/* 1: tile_bf16 has products of this type. */
int tile_bf16_works(void);
/* C[M,N] (+)= op(A) op(B), bf16 in, f32 sums. */
int tile_bf16(int ta, int tb, size_t M, size_t N, size_t K, const uint16_t *a, size_t lda,
              const uint16_t *b, size_t ldb, float *c, size_t ldc, int add, struct err *e);
/* " onednn/VERSION-isaX[ bf16]" into text [room]; "" without oneDNN. */
void tile_describe(char *text, size_t room);

#endif
