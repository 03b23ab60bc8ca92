/* SPDX-License-Identifier: Apache-2.0 */
/* blas_factor - factorisation and inversion of triangles in f64, by blocks: what LAPACK does within
 * a block on the diagonal, OpenBLAS's products do for all others, tile by tile. The tiles follow
 * from the size alone. */
#include <float.h>
#include <limits.h>
#include "blas.h"
#include "blas_openblas.h"
#include "blas_tile.h"

/* Side of a block: the larger, the less of a product goes into packing; of a small matrix smaller
 * ones, so that threads find work. */
enum { BLOCK = 512, SMALL_BLOCK = 256, LARGE = 3072 };

struct triangle {
    const struct openblas *lib;
    double *a;
    size_t K, ld, block;
    size_t at, side; /* the block on the diagonal that is done now */
    size_t first;    /* behind it, rows and columns of trailing tiles are counted from here */
};

static size_t block_of(size_t K)
{
    return K < LARGE ? SMALL_BLOCK : BLOCK;
}

static double *cell(const struct triangle *t, size_t row, size_t column)
{
    return t->a + row * t->ld + column;
}

static int is_bad(const struct openblas *lib, size_t K, size_t ld)
{
    return !lib || K > INT_MAX || ld > INT_MAX || ld < K;
}

/* Pair i of the lower triangle: (0,0), (1,0), (1,1), (2,0), ... */
static void pair_at(size_t i, size_t *row, size_t *column)
{
    for (*row = 0; i > *row; ++*row)
        i -= *row + 1;
    *column = i;
}

/* ---- A = L L' ---- */

/* A row-major lower triangle is the upper one of the same memory read by columns, so LAPACK
 * works in place without a copy. 0, the 1-based index of a bad pivot, or -1. */
static int corner_factor(const struct triangle *t)
{
    int n = (int)t->side, ld = (int)t->ld, info = 0;
    double *a = cell(t, t->at, t->at);
    char uplo = 'U';

    t->lib->dpotrf(&uplo, &n, a, &ld, &info, 1);
    /* OpenBLAS's own dpotrf lets a NaN pivot pass: NaN <= 0 is false. */
    for (size_t i = 0; info == 0 && i < t->side; i++)
        if (!(a[i * t->ld + i] > 0.0) || a[i * t->ld + i] > DBL_MAX)
            return (int)i + 1;
    return info < 0 ? -1 : (int)info;
}

/* Some rows below the block: times the inverse of it, or of its transpose, by `sign`. */
static void rows_solve(const struct triangle *t, size_t i, CBLAS_TRANSPOSE how, double sign)
{
    const size_t row = t->first + i * t->block;

    t->lib->dtrsm(CblasRowMajor, CblasRight, CblasLower, how, CblasNonUnit,
                  (int)least(t->block, t->K - row), (int)t->side, sign, cell(t, t->at, t->at),
                  (int)t->ld, cell(t, row, t->at), (int)t->ld);
}

static int below_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    (void)worker;
    (void)e;
    rows_solve(ctx, i, CblasTrans, 1.0);
    return 0;
}

/* A tile behind the block, less the product of the rows below it. */
static int behind_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct triangle *t = ctx;
    const int ld = (int)t->ld, side = (int)t->side;
    size_t row, column;
    int rows, columns;

    (void)worker;
    (void)e;
    pair_at(i, &row, &column);
    row = t->first + row * t->block;
    column = t->first + column * t->block;
    rows = (int)least(t->block, t->K - row);
    columns = (int)least(t->block, t->K - column);
    if (row == column)
        t->lib->dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, rows, side, -1.0,
                      cell(t, row, t->at), ld, 1.0, cell(t, row, row), ld);
    else
        t->lib->dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, columns, side, -1.0,
                      cell(t, row, t->at), ld, cell(t, column, t->at), ld, 1.0,
                      cell(t, row, column), ld);
    return 0;
}

int blas_potrf(struct par *p, size_t K, double *a, size_t lda)
{
    struct triangle t = {.lib = openblas(NULL), .a = a, .K = K, .ld = lda, .block = block_of(K)};

    if (is_bad(t.lib, K, lda))
        return -1;
    for (; t.at < K; t.at = t.first) {
        size_t tiles;
        int rc;

        t.side = least(t.block, K - t.at);
        t.first = t.at + t.side;
        tiles = ceil_div(K - t.first, t.block);
        if ((rc = corner_factor(&t)) != 0)
            return rc < 0 ? -1 : (int)t.at + rc;
        if (par_for(p, tiles, below_tile, &t, NULL) < 0 ||
            par_for(p, tiles * (tiles + 1) / 2, behind_tile, &t, NULL) < 0)
            return -1;
    }
    return 0;
}

/* ---- L^-1 ----
 *
 * Before block k, the columns in front of it hold the inverse down to there and, below, minus what
 * their rows of L do to it. */

static int under_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    (void)worker;
    (void)e;
    rows_solve(ctx, i, CblasNoTrans, -1.0);
    return 0;
}

/* A tile below the block and in front of it. */
static int front_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct triangle *t = ctx;
    const size_t across = t->at / t->block, row = t->first + i / across * t->block,
                 column = i % across * t->block;

    (void)worker;
    (void)e;
    t->lib->dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)least(t->block, t->K - row),
                  (int)t->block, (int)t->side, 1.0, cell(t, row, t->at), (int)t->ld,
                  cell(t, t->at, column), (int)t->ld, 1.0, cell(t, row, column), (int)t->ld);
    return 0;
}

/* Columns in front of the block, in its rows: times its inverse. */
static int beside_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct triangle *t = ctx;

    (void)worker;
    (void)e;
    t->lib->dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)t->side,
                  (int)t->block, 1.0, cell(t, t->at, t->at), (int)t->ld,
                  cell(t, t->at, i * t->block), (int)t->ld);
    return 0;
}

static int corner_invert(const struct triangle *t)
{
    int n = (int)t->side, ld = (int)t->ld, info = 0;
    char uplo = 'U', diag = 'N';

    t->lib->dtrtri(&uplo, &diag, &n, cell(t, t->at, t->at), &ld, &info, 1, 1);
    return info < 0 ? -1 : (int)info;
}

int blas_trtri(struct par *p, size_t K, double *l, size_t ldl)
{
    struct triangle t = {.lib = openblas(NULL), .a = l, .K = K, .ld = ldl, .block = block_of(K)};

    if (is_bad(t.lib, K, ldl))
        return -1;
    for (; t.at < K; t.at = t.first) {
        const size_t across = t.at / t.block;
        size_t tiles;
        int rc;

        t.side = least(t.block, K - t.at);
        t.first = t.at + t.side;
        tiles = ceil_div(K - t.first, t.block);
        if (par_for(p, tiles, under_tile, &t, NULL) < 0 ||
            par_for(p, tiles * across, front_tile, &t, NULL) < 0 ||
            par_for(p, across, beside_tile, &t, NULL) < 0)
            return -1;
        if ((rc = corner_invert(&t)) != 0)
            return rc < 0 ? -1 : (int)t.at + rc;
    }
    return 0;
}
