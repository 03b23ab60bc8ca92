/* SPDX-License-Identifier: Apache-2.0 */
/* weights16 - see weights16.h. */
#include "weights16.h"

#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/dtype.h"

enum { PIECE = 1 << 14 }; /* numbers at a time, or a row */

#define TOO_LARGE "is too large for bf16: --products f32 takes it"

/* rest NULL: it is not asked for. 1: something is left of w, -1: a number became infinite. */
static int narrow(const float *w, size_t n, uint16_t *to, uint16_t *rest)
{
    int left = 0, bad = 0;

    dtype_from_f32(DT_BF16, w, n, to);
    for (size_t i = 0; i < n; i++)
        bad |= (to[i] & 0x7fff) >= 0x7f80;
    for (size_t i = 0; rest && i < n; i++) {
        rest[i] = f32_to_bf16(w[i] - bf16_to_f32(to[i]));
        left |= (rest[i] & 0x7fff) != 0;
    }
    return bad ? -1 : left;
}

static int room_make(struct weights16 *h, size_t N, size_t K, int rest, struct err *e)
{
    size_t n = 0;

    if (mem_mul(N, K, &n) < 0)
        return err_set(e, ERR_USE, "%zu x %zu weights are too many", N, K);
    return (h->w || (h->w = mem_raw(n, sizeof *h->w, e))) &&
                   (!rest || h->rest || (h->rest = mem_raw(n, sizeof *h->rest, e)))
               ? 0
               : -1;
}

static void rest_settle(struct weights16 *h, int left)
{
    if (left)
        return;
    free(h->rest);
    h->rest = NULL;
}

int weights16_make(struct weights16 *h, size_t N, size_t K, int rest,
                   const struct weights_source *from, struct err *e)
{
    const size_t step = K < PIECE ? PIECE / K : 1, rows = step < N ? step : N;
    float *w = NULL;
    int left = 0;

    *h = (struct weights16){0};
    if (room_make(h, N, K, rest, e) < 0 || !(w = mem_raw(rows * K, sizeof *w, e)))
        goto fail;
    for (size_t i = 0; i < N; i += rows) {
        const size_t count = N - i < rows ? N - i : rows;
        int more;

        if (from->rows(from->ctx, i, count, w, e) < 0)
            goto fail;
        if ((more = narrow(w, count * K, h->w + i * K, h->rest ? h->rest + i * K : NULL)) < 0) {
            err_set(e, ERR_DATA, "a weight in rows %zu to %zu " TOO_LARGE, i, i + count - 1);
            goto fail;
        }
        left |= more;
    }
    rest_settle(h, left);
    free(w);
    return 0;
fail:
    free(w);
    weights16_release(h);
    return -1;
}

struct rounding {
    const struct weights16 *h;
    const float *w;
    size_t n;
    unsigned char *left; /* [pieces] */
};

static int round_piece(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct rounding *r = ctx;
    const size_t at = i * PIECE, n = r->n - at < PIECE ? r->n - at : PIECE;
    const int left = narrow(r->w + at, n, r->h->w + at, r->h->rest ? r->h->rest + at : NULL);

    (void)worker;
    r->left[i] = left > 0;
    return left < 0 ? err_set(e, ERR_DATA, "a weight " TOO_LARGE) : 0;
}

int weights16_round(struct weights16 *h, struct par *p, size_t N, size_t K, int rest,
                    const float *w, struct err *e)
{
    const size_t n = N * K, pieces = (n + PIECE - 1) / PIECE;
    struct rounding r = {.h = h, .w = w, .n = n, .left = mem_array(pieces + 1, 1, e)};
    int rc = -1;

    if (r.left && room_make(h, N, K, rest, e) == 0)
        rc = par_for(p, pieces, round_piece, &r, e);
    if (rc == 0)
        rest_settle(h, memchr(r.left, 1, pieces) != NULL);
    free(r.left);
    return rc;
}

void weights16_release(struct weights16 *h)
{
    free(h->w);
    free(h->rest);
    *h = (struct weights16){0};
}
