/* SPDX-License-Identifier: Apache-2.0 */
/* op_back - what the products of several operations share: tiles of rows, sums over them. */
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "../tensor/dtype.h"
#include "op.h"

enum { TILE_ROWS = 64 };

static size_t tiles_of(size_t count)
{
    return (count + TILE_ROWS - 1) / TILE_ROWS;
}

/* What stood there is copied when it is needed, and what was made is rounded at once: rows that are
 * in a cache then. */
static int run_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct op_args *a = ctx;
    const size_t first = i * TILE_ROWS,
                 count = a->count - first < TILE_ROWS ? a->count - first : TILE_ROWS,
                 at = first * a->width_out;

    (void)worker;
    (void)e;
    if (a->before)
        memcpy(a->out + at, a->before + at, count * a->width_out * sizeof *a->out);
    if (!a->op->kind->each)
        return 0;
    a->op->kind->each(a, first, count);
    if (a->out16)
        dtype_from_f32(DT_BF16, a->out + at, count * a->width_out, a->out16 + at);
    return 0;
}

int op_run(const struct op_args *a, struct err *e)
{
    struct op_args own = *a;

    if ((a->op->kind->each || a->before) &&
        par_for(a->par, tiles_of(a->count), run_tile, &own, e) < 0)
        return -1;
    if (a->op->kind->each)
        return 0;
    if (a->op->kind->run(a, e) < 0)
        return -1;
    return a->out16 ? a->products->narrow(a->par, a->count * a->width_out, a->out, a->out16, e) : 0;
}

struct tiles {
    const struct op_back *b;
    void (*each)(const struct op_back *b, size_t first, size_t count, double *sum);
    double *sums; /* [tiles, n]; NULL: none */
    size_t n;
};

static int back_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct tiles *t = ctx;
    const size_t first = i * TILE_ROWS,
                 count = t->b->a.count - first < TILE_ROWS ? t->b->a.count - first : TILE_ROWS;

    (void)worker;
    (void)e;
    for (size_t k = 0; k < t->b->a.op->kind->inputs; k++)
        if (t->b->fresh >> k & 1)
            memset(t->b->grad_in[k] + first * t->b->a.width[k], 0,
                   count * t->b->a.width[k] * sizeof(float));
    t->each(t->b, first, count, t->sums ? t->sums + i * t->n : NULL);
    return 0;
}

int op_back_tiles(const struct op_back *b, size_t n,
                  void (*each)(const struct op_back *b, size_t first, size_t count, double *sum),
                  struct err *e)
{
    const size_t tiles = tiles_of(b->a.count);
    struct tiles t = {.b = b, .each = each, .n = n};
    int rc;

    if (n && b->grad_tensor[0] && !(t.sums = mem_array((tiles ? tiles : 1) * n, sizeof *t.sums, e)))
        return -1;
    rc = par_for(b->a.par, tiles, back_tile, &t, e);
    for (size_t k = 0; t.sums && k < n; k++) {
        double sum = 0;

        for (size_t i = 0; i < tiles; i++)
            sum += t.sums[i * n + k];
        b->grad_tensor[0][k] = (float)sum;
    }
    free(t.sums);
    return rc;
}
