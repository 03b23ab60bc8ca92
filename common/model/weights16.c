/* SPDX-License-Identifier: Apache-2.0 */
/* weights16 - see weights16.h. */
#include "weights16.h"

#include <math.h>
#include <stdlib.h>
#include "../base/mem.h"
#include "../tensor/dtype.h"

enum { PIECE = 1 << 16 }; /* numbers at a time, or a row */

/* w becomes what is left of it; 1: something is, -1: a number became infinite. */
static int narrow(float *w, size_t n, uint16_t *to)
{
    int left = 0, bad = 0;

    dtype_from_f32(DT_BF16, w, n, to);
    for (size_t i = 0; i < n; i++) {
        const float half = bf16_to_f32(to[i]);

        bad |= !isfinite(half);
        w[i] -= half;
        left |= w[i] != 0;
    }
    return bad ? -1 : left;
}

int weights16_make(struct weights16 *h, size_t N, size_t K, int rest,
                   const struct weights_source *from, struct err *e)
{
    const size_t step = K < PIECE ? PIECE / K : 1, rows = step < N ? step : N;
    size_t n = 0;
    float *w = NULL;
    int left = 0;

    *h = (struct weights16){0};
    if (mem_mul(N, K, &n) < 0)
        return err_set(e, ERR_USE, "%zu x %zu weights are too many", N, K);
    if (!(h->w = mem_raw(n, sizeof *h->w, e)) ||
        (rest && !(h->rest = mem_raw(n, sizeof *h->rest, e))) ||
        !(w = mem_raw(rows * K, sizeof *w, e)))
        goto fail;
    for (size_t i = 0; i < N; i += rows) {
        const size_t count = N - i < rows ? N - i : rows;
        int more;

        if (from->rows(from->ctx, i, count, w, e) < 0)
            goto fail;
        if ((more = narrow(w, count * K, h->w + i * K)) < 0) {
            err_set(e, ERR_DATA,
                    "a weight in rows %zu to %zu is too large for bf16: --products f32 takes it", i,
                    i + count - 1);
            goto fail;
        }
        left |= more;
        if (rest)
            dtype_from_f32(DT_BF16, w, count * K, h->rest + i * K);
    }
    if (!left) {
        free(h->rest);
        h->rest = NULL;
    }
    free(w);
    return 0;
fail:
    free(w);
    weights16_release(h);
    return -1;
}

void weights16_release(struct weights16 *h)
{
    free(h->w);
    free(h->rest);
    *h = (struct weights16){0};
}
