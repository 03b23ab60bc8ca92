/* SPDX-License-Identifier: Apache-2.0 */
/* blas_tiles - how a product is cut into tiles, and the check of its dimensions. */
#include <limits.h>
#include "blas_tile.h"

enum { LINEAR_ROWS = 256, LINEAR_COLS = 1536 };
/* The libraries pack the weights of a tile again for each: where they are more than a cache holds,
 * tiles are longer, and as many; with no more rows than one is long they are half as wide, or a
 * thread would have them alone. */
enum { WIDE_ROWS = 512, WIDE_COLS = 768, WIDE_WEIGHTS = 3 << 18 };

struct linear_cut linear_cut(size_t T, size_t N, size_t K)
{
    const int wide = least(N, LINEAR_COLS) >= ceil_div(WIDE_WEIGHTS, K);
    const size_t cols = !wide ? LINEAR_COLS : T > WIDE_ROWS ? WIDE_COLS : WIDE_COLS / 2;
    struct linear_cut c = {.rows = wide ? WIDE_ROWS : LINEAR_ROWS, .across = ceil_div(N, cols)};

    c.cols = ceil_div(ceil_div(N, c.across), 64) * 64;
    c.across = ceil_div(N, c.cols);
    return c;
}

/* Each tile packs its columns once more, so the fewer the better: SLOPE_TILE both ways, of fewer
 * rows where that is no fair share for a few threads. */
enum { SLOPE_TILE = 256, SLOPE_TILES = 4 };

struct linear_cut slope_cut(size_t M, size_t N)
{
    struct linear_cut c = {
        .rows = SLOPE_TILE, .cols = SLOPE_TILE, .across = ceil_div(N, SLOPE_TILE)};

    if (ceil_div(M, c.rows) * c.across < SLOPE_TILES)
        c.rows /= 2;
    if (ceil_div(M, c.rows) * c.across < 2)
        c.rows /= 2;
    return c;
}

int tiles_check(const char *product, struct err *e, size_t n, const size_t (*dims)[2])
{
    for (size_t i = 0; i < n; i++)
        if (dims[i][0] > INT_MAX || dims[i][1] > INT_MAX || dims[i][1] < dims[i][0])
            return err_set(e, ERR_USE, "%s: rows of %zu elements at distance %zu", product,
                           dims[i][0], dims[i][1]);
    return 0;
}
