/* SPDX-License-Identifier: Apache-2.0 */
/* blas_tiles - the tiles of a product in parallel, and the check of its dimensions. */
#include <limits.h>
#include "blas_tile.h"

int tiles_run(struct par *p, size_t n, tile_fn *fn, void *ctx, struct err *e)
{
    if (p)
        return par_for(p, n, fn, ctx, e);
    for (size_t i = 0; i < n; i++)
        if (fn(ctx, i, 0, e) != 0)
            return -1;
    return 0;
}

int tiles_check(const char *product, struct err *e, size_t n, const size_t (*dims)[2])
{
    for (size_t i = 0; i < n; i++)
        if (dims[i][0] > INT_MAX || dims[i][1] > INT_MAX || dims[i][1] < dims[i][0])
            return err_set(e, ERR_USE, "%s: rows of %zu elements at distance %zu", product,
                           dims[i][0], dims[i][1]);
    return 0;
}
