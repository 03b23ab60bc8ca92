/* SPDX-License-Identifier: Apache-2.0 */
/* blas_tile - one tile of a product, on one thread: what blas.c cuts its products into.
 * blas_dnnl.c has them where the build has oneDNN, blas.c by OpenBLAS otherwise. Nobody else
 * includes this. */
#ifndef PTQ_BLAS_TILE_H
#define PTQ_BLAS_TILE_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"

/* C[M,N] (+)= op(A) op(B), f32. */
int tile_f32(int ta, int tb, size_t M, size_t N, size_t K, const float *a, size_t lda,
             const float *b, size_t ldb, float *c, size_t ldc, int add, struct err *e);
/* The same for shapes that vary without end: nothing is kept by shape. Dimensions fit an int. */
int tile_sgemm(int ta, int tb, size_t M, size_t N, size_t K, float alpha, const float *a,
               size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc,
               struct err *e);
/* 1: tile_bf16 has products of this type. */
int tile_bf16_works(void);
/* C[M,N] = A[T,M]' B[T,N], bf16 in, f32 sums. */
int tile_bf16(size_t M, size_t N, size_t T, const uint16_t *a, const uint16_t *b, size_t ld,
              float *c, size_t ldc, struct err *e);
/* " onednn/VERSION-isaX[ bf16]" into text [room]; "" without oneDNN. */
void tile_describe(char *text, size_t room);

#endif
