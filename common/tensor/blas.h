/* SPDX-License-Identifier: Apache-2.0 */
/* blas - the dense products this project needs, with the same bytes for any number of threads.
 *
 * Only the files blas_*.c include headers of BLAS and oneDNN. The libraries are
 * always called single-threaded, on tiles fixed by the shape of the problem alone; tiles run in
 * parallel on a struct par. f32 products use oneDNN where it was found at build time, OpenBLAS
 * otherwise. blas_ref.c has the plain loops of the same functions for tests. All matrices are
 * row-major; ld is the distance between rows in elements. Everything is borrowed; -1 where a
 * function has an err: no memory, or a dimension beyond the library's int. */
#ifndef PTQ_BLAS_H
#define PTQ_BLAS_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../base/par.h"

/* First call of every main, before there are threads: picks OPENBLAS_CORETYPE from CPUID unless
 * the environment has one, and one thread for OpenBLAS and OpenMP, in the environment of this
 * process and its children. The libraries are loaded, and read it, when the first product is
 * asked for. */
int blas_start(struct err *e);
/* Loads what products in f32 need, and with f64 those in f64. ERR_SYS: it is not installed. */
int blas_libraries(int f64, struct err *e);
/* Before the work: loads the libraries, so that no product fails for that later. Where the
 * address space is limited (ulimit -v) OpenBLAS would ask for ever for a buffer that it does not
 * get: takes those of so many threads now, ERR_SYS when they do not fit. f64: there will be
 * products in f64; those in f32 need none where there is oneDNN. */
#define BLAS_BUFFER ((size_t)128 << 20) /* the largest that it takes on any CPU of this kind */
int blas_room(size_t threads, int f64, struct err *e);
/* "openblas/SkylakeX onednn/2.6.3-isa27 bf16": what the numbers depend on */
const char *blas_kernel(void);

/* Y[T,N] (+)= X[T,K] W[N,K]'; add: 1 adds to Y. f32. */
int blas_linear(struct par *p, size_t T, size_t N, size_t K, const float *x, size_t ldx,
                const float *w, size_t ldw, float *y, size_t ldy, int add, struct err *e);
/* The same with W in bf16, and X too (x16) or in f32 (x32: it is rounded to bf16), the other NULL.
 * rest [N,K] bf16, ldw apart as w: what was left of the weights when they were rounded, Y (+)=
 * X (W + rest)'; NULL: nothing. The products are exact, their sums f32; numbers below the normal
 * ones (2^-126) may count as 0. Where the CPU has no such products the same numbers are multiplied
 * in f32. */
int blas_linear16(struct par *p, size_t T, size_t N, size_t K, const uint16_t *x16,
                  const float *x32, size_t ldx, const uint16_t *w, const uint16_t *rest, size_t ldw,
                  float *y, size_t ldy, int add, struct err *e);
/* 1: this CPU and build have products of bf16. */
int blas_has_bf16(void);
/* Y[T,N] (+)= X[T,K] W[K,N]: what goes back through a linear. f32. */
int blas_product(struct par *p, size_t T, size_t N, size_t K, const float *x, size_t ldx,
                 const float *w, size_t ldw, float *y, size_t ldy, int add, struct err *e);
/* The same of bf16: X [T,K] and W [K,N]. As of blas_linear16: sums are f32, and a CPU without such
 * products multiplies the same numbers in f32. */
int blas_product16(struct par *p, size_t T, size_t N, size_t K, const uint16_t *x, size_t ldx,
                   const uint16_t *w, size_t ldw, float *y, size_t ldy, int add, struct err *e);
/* y [n] = x rounded to bf16. */
int blas_narrow(struct par *p, size_t n, const float *x, uint16_t *y, struct err *e);
/* General single-threaded f32 tiles (attention): C[M,N] = alpha A B (+ beta C), ta/tb 1 =
 * transposed. */
int blas_sgemm(int ta, int tb, size_t M, size_t N, size_t K, float alpha, const float *a,
               size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc,
               struct err *e);
/* The same of bf16, C[M,N] (+)= A B with sums in f32: for shapes of which there are few, and where
 * blas_has_bf16(). */
int blas_tile16(int ta, int tb, size_t M, size_t N, size_t K, const uint16_t *a, size_t lda,
                const uint16_t *b, size_t ldb, float *c, size_t ldc, int add, struct err *e);
/* These for who is handed them: a program that only reads about products (the table of sites
 * of a model) names the table and does not load the libraries, one that computes passes
 * blas_products on. */
struct blas_table {
    int (*has_bf16)(void);
    int (*linear)(struct par *p, size_t T, size_t N, size_t K, const float *x, size_t ldx,
                  const float *w, size_t ldw, float *y, size_t ldy, int add, struct err *e);
    int (*linear16)(struct par *p, size_t T, size_t N, size_t K, const uint16_t *x16,
                    const float *x32, size_t ldx, const uint16_t *w, const uint16_t *rest,
                    size_t ldw, float *y, size_t ldy, int add, struct err *e);
    int (*product)(struct par *p, size_t T, size_t N, size_t K, const float *x, size_t ldx,
                   const float *w, size_t ldw, float *y, size_t ldy, int add, struct err *e);
    int (*product16)(struct par *p, size_t T, size_t N, size_t K, const uint16_t *x, size_t ldx,
                     const uint16_t *w, size_t ldw, float *y, size_t ldy, int add, struct err *e);
    int (*cross)(struct par *p, size_t T, size_t M, size_t N, const float *a, size_t lda,
                 const float *b, size_t ldb, float *c, size_t ldc, struct err *e);
    int (*slopes)(struct par *p, size_t T, size_t M, size_t N, const float *a, size_t lda,
                  const float *b, size_t ldb, float *c, size_t ldc, struct err *e);
    int (*slopes16)(struct par *p, size_t T, size_t M, size_t N, const uint16_t *a, size_t lda,
                    const uint16_t *b, size_t ldb, float *c, size_t ldc, struct err *e);
    int (*narrow)(struct par *p, size_t n, const float *x, uint16_t *y, struct err *e);
    int (*sgemm)(int ta, int tb, size_t M, size_t N, size_t K, float alpha, const float *a,
                 size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc,
                 struct err *e);
    int (*tile16)(int ta, int tb, size_t M, size_t N, size_t K, const uint16_t *a, size_t lda,
                  const uint16_t *b, size_t ldb, float *c, size_t ldc, int add, struct err *e);
};
extern const struct blas_table blas_products;
/* Distance, at least n, between rows of n floats whose columns are read as fast as may be: an odd
 * number of cache lines. At a power of two the rows of a column all fall to the same few places of
 * a cache, and products of transposed rows run at a third of their speed. */
static inline size_t blas_row(size_t n)
{
    const size_t line = 64 / sizeof(float);

    return ((n / line + (n % line != 0)) | 1) * line;
}
/* S[K,K] lower triangle (tiles on and below the diagonal; the rest is not touched) = X'X, X
 * [T,K] given as bf16 (x16) or f32 (x32), the other NULL. f32 result of one chunk; the caller
 * adds chunks in f64. */
int blas_gram(struct par *p, size_t T, size_t K, const uint16_t *x16, const float *x32, size_t ldx,
              float *s, size_t lds, struct err *e);
/* The same by panels of so many rows, the last one of fewer, each handed on when it is made, from
 * any thread and in any order: take gets rows [row, row + rows) of S, ld apart, up to their
 * diagonal. S as a whole is nowhere. */
#define BLAS_GRAM_ROWS ((size_t)96)
int blas_gram_each(struct par *p, size_t T, size_t K, const uint16_t *x16, const float *x32,
                   size_t ldx,
                   int (*take)(void *ctx, size_t row, size_t rows, const float *panel, size_t ld,
                               struct err *e),
                   void *ctx, struct err *e);
/* C[M,N] = A[T,M]' B[T,N], f32 (the D of a problem; both f32). */
int blas_cross(struct par *p, size_t T, size_t M, size_t N, const float *a, size_t lda,
               const float *b, size_t ldb, float *c, size_t ldc, struct err *e);
/* The same by other tiles, so by other sums: for the gradient of weights, where a thread is to have
 * no more than its share. */
int blas_slopes(struct par *p, size_t T, size_t M, size_t N, const float *a, size_t lda,
                const float *b, size_t ldb, float *c, size_t ldc, struct err *e);
/* The same of bf16, with sums in f32. */
int blas_slopes16(struct par *p, size_t T, size_t M, size_t N, const uint16_t *a, size_t lda,
                  const uint16_t *b, size_t ldb, float *c, size_t ldc, struct err *e);

/* fp64, for the solvers. potrf: A = L L', lower, in place (upper not touched); returns 0, or the
 * 1-based index of the pivot that is not positive, -1 on error. trtri: inverse of a lower
 * triangle in place. dgemm as in BLAS, row-major. All by tiles in parallel; p NULL: in the calling
 * thread (from inside a par_for, where p is busy). */
int blas_potrf(struct par *p, size_t K, double *a, size_t lda);
int blas_trtri(struct par *p, size_t K, double *l, size_t ldl);
int blas_dgemm(struct par *p, int ta, int tb, size_t M, size_t N, size_t K, double alpha,
               const double *a, size_t lda, const double *b, size_t ldb, double beta, double *c,
               size_t ldc, struct err *e);

/* The plain twins (blas_ref.c), for tests: double sums. */
void ref_linear(size_t T, size_t N, size_t K, const float *x, size_t ldx, const float *w,
                size_t ldw, float *y, size_t ldy, int add);
void ref_gram(size_t T, size_t K, const float *x, size_t ldx, double *s, size_t lds);

#endif
