/* SPDX-License-Identifier: Apache-2.0 */
/* blas_bf16 - products of rows with weights that are bf16, by the tiles of blas.c's linear. A CPU
 * without such products multiplies the same numbers in f32, tile by tile. */
#include <stdlib.h>
#include "../base/mem.h"
#include "blas.h"
#include "blas_tile.h"
#include "dtype.h"

struct job {
    size_t T, N, K, ldx, ldw, ldy;
    struct linear_cut cut;
    const uint16_t *x16, *w, *rest;
    const float *x32;
    float *y;
    int add, wide; /* wide: by products of f32 */
    char *room;    /* of each worker: what a tile needs in another type */
    size_t room_bytes;
};

int blas_has_bf16(void)
{
    return tile_bf16_works();
}

static const uint16_t *rows_narrow(const struct job *j, size_t t, size_t rows, uint16_t *to)
{
    if (j->x16)
        return j->x16 + t * j->ldx;
    for (size_t i = 0; i < rows; i++)
        dtype_from_f32(DT_BF16, j->x32 + (t + i) * j->ldx, j->K, to + i * j->K);
    return to;
}

static int tile16(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct job *j = ctx;
    const size_t t = i / j->cut.across * j->cut.rows, n = i % j->cut.across * j->cut.cols,
                 rows = least(j->cut.rows, j->T - t), cols = least(j->cut.cols, j->N - n),
                 ld = j->x16 ? j->ldx : j->K;
    const uint16_t *x = rows_narrow(j, t, rows, (void *)(j->room + worker * j->room_bytes));
    float *y = j->y + t * j->ldy + n;

    if (tile_bf16(0, 1, rows, cols, j->K, x, ld, j->w + n * j->ldw, j->ldw, y, j->ldy, j->add, e) <
        0)
        return -1;
    return j->rest ? tile_bf16(0, 1, rows, cols, j->K, x, ld, j->rest + n * j->ldw, j->ldw, y,
                               j->ldy, 1, e)
                   : 0;
}

/* Columns of weights, widened: the sum of both parts is exact, no bits of theirs overlap. */
static void weights_widen(const struct job *j, size_t n, size_t cols, float *w)
{
    for (size_t i = 0; i < cols; i++) {
        float *row = w + i * j->K;

        dtype_to_f32(DT_BF16, j->w + (n + i) * j->ldw, j->K, row);
        for (size_t k = 0; j->rest && k < j->K; k++)
            row[k] += bf16_to_f32(j->rest[(n + i) * j->ldw + k]);
    }
}

static int tile32(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct job *j = ctx;
    const size_t t = i / j->cut.across * j->cut.rows, n = i % j->cut.across * j->cut.cols,
                 rows = least(j->cut.rows, j->T - t), cols = least(j->cut.cols, j->N - n);
    float *x = (void *)(j->room + worker * j->room_bytes), *w = x + j->cut.rows * j->K;

    for (size_t k = 0; k < rows; k++) {
        /* where its numbers in bf16 wait, the weights come later */
        const uint16_t *from = rows_narrow(j, t + k, 1, (void *)w);

        dtype_to_f32(DT_BF16, from, j->K, x + k * j->K);
    }
    weights_widen(j, n, cols, w);
    return tile_f32(0, 1, rows, cols, j->K, x, j->K, w, j->K, j->y + t * j->ldy + n, j->ldy, j->add,
                    e);
}

static int room_make(struct job *j, size_t threads, struct err *e)
{
    const size_t rows = least(j->cut.rows, j->T), cols = least(j->cut.cols, j->N);
    size_t all;

    if (!j->wide && j->x16)
        return 0;
    j->cut.rows = rows;
    j->room_bytes = j->wide ? (rows + cols) * j->K * sizeof(float)
                            : ceil_div(rows * j->K * sizeof *j->x16, 64) * 64;
    if (mem_mul(threads, j->room_bytes, &all) < 0)
        return err_set(e, ERR_USE, "linear: %zu inputs are too many", j->K);
    return (j->room = mem_raw(all, 1, e)) ? 0 : -1;
}

int blas_linear16(struct par *p, size_t T, size_t N, size_t K, const uint16_t *x16,
                  const float *x32, size_t ldx, const uint16_t *w, const uint16_t *rest, size_t ldw,
                  float *y, size_t ldy, int add, struct err *e)
{
    struct job j = {.T = T,
                    .N = N,
                    .K = K,
                    .ldx = ldx,
                    .ldw = ldw,
                    .ldy = ldy,
                    .x16 = x16,
                    .x32 = x32,
                    .w = w,
                    .rest = rest,
                    .y = y,
                    .add = add};
    int rc;

    if (!x16 == !x32)
        return err_set(e, ERR_USE, "linear: rows are either bf16 or f32");
    if (tiles_check("linear", e, 4, (const size_t[][2]){{K, ldx}, {K, ldw}, {N, ldy}, {T, T}}) != 0)
        return -1;
    if (T == 0 || N == 0)
        return 0;
    if (K == 0)
        return err_set(e, ERR_USE, "linear: no inputs");
    j.cut = linear_cut(T, N, K);
    j.wide = !tile_bf16_works();
    if (room_make(&j, p ? par_threads(p) : 1, e) < 0)
        return -1;
    rc = par_for(p, ceil_div(T, j.cut.rows) * j.cut.across, j.wide ? tile32 : tile16, &j, e);
    free(j.room);
    return rc;
}
