/* SPDX-License-Identifier: Apache-2.0 */
/* attention_back16 - see attention_back16.h. Products are of whole pieces of rows and of keys, so
 * that few shapes of them come up: what stands past the end is multiplied by 0. */
#include "attention_back16.h"

#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "../tensor/dtype.h"
#include "vec.h"

enum { PIECE = 64 };

static size_t pieces(size_t n)
{
    return (n + PIECE - 1) / PIECE * PIECE;
}

static size_t group_of(const struct attention_shape *c)
{
    return c->heads / c->kv_heads;
}

/* ---- what is multiplied ---- */

/* n rows of `width`, times `by`, into dense ones. */
static void pack_rows(const float *x, size_t ldx, size_t width, size_t n, float by, uint16_t *to)
{
    enum { SOME = 256 };
    float some[SOME];

    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < width; i += SOME) {
            const size_t m = width - i < SOME ? width - i : SOME;

            memcpy(some, x + t * ldx + i, m * sizeof *some);
            vec_scale(some, m, by);
            dtype_from_f32(DT_BF16, some, m, to + t * width + i);
        }
}

static int pack_piece(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct attention_back16 *b = ctx;
    const struct attention *a = b->a;
    const struct attention_shape *c = a->c;
    const size_t t = i * PIECE, n = b->T - t < PIECE ? b->T - t : PIECE,
                 nq = c->heads * c->head_dim, nk = c->kv_heads * c->head_dim,
                 nv = c->kv_heads * attention_value_dim(c), nx = group_of(c) * nv;

    (void)worker;
    (void)e;
    pack_rows(a->q + t * a->ldq, a->ldq, nq, n, attention_scale(c), b->q + t * nq);
    pack_rows(a->k + t * a->ldk, a->ldk, nk, n, 1, b->k + t * nk);
    pack_rows(a->v + t * a->ldv, a->ldv, nv, n, 1, b->v + t * nv);
    pack_rows(b->g->x + t * nx, nx, nx, n, 1, b->x + t * nx);
    return 0;
}

/* With room behind the last row for as many as a piece may read past it, 0 all. */
static int rows_make(uint16_t **to, size_t T, size_t width, struct err *e)
{
    size_t n;

    if (mem_mul(T + PIECE, width, &n) < 0)
        return err_set(e, ERR_USE, "attention: %zu rows of %zu are too many", T, width);
    if (!(*to = mem_raw(n, sizeof **to, e)))
        return -1;
    memset(*to + T * width, 0, PIECE * width * sizeof **to);
    return 0;
}

/* ---- what a worker has ---- */

struct room {
    float *p, *d, *z; /* [QUERIES, keys]; z: with a cap */
    float *q;         /* [QUERIES, head_dim] */
    float *k, *v;     /* [keys and a piece, head_dim or value_dim] sums of a task */
    uint16_t *p16, *d16;
};

static size_t room_bytes(const struct attention_back16 *b)
{
    const struct attention_shape *c = b->a->c;
    const size_t scores = ATTENTION_QUERIES * b->keys, hd = c->head_dim,
                 sums = (b->keys + PIECE) * (hd + attention_value_dim(c));

    return (scores * (c->cap != 0 ? 3 : 2) + ATTENTION_QUERIES * hd + sums) * sizeof(float) +
           2 * scores * sizeof(uint16_t);
}

static struct room room_of(const struct attention_back16 *b, size_t worker)
{
    const struct attention_shape *c = b->a->c;
    const size_t scores = ATTENTION_QUERIES * b->keys;
    struct room r = {.p = (void *)(b->room + worker * b->room_bytes)};

    r.d = r.p + scores;
    r.z = r.d + scores;
    r.q = r.z + (c->cap != 0 ? scores : 0);
    r.k = r.q + ATTENTION_QUERIES * c->head_dim;
    r.v = r.k + (b->keys + PIECE) * c->head_dim;
    r.p16 = (void *)(r.v + (b->keys + PIECE) * attention_value_dim(c));
    r.d16 = r.p16 + scores;
    return r;
}

int attention_back16_make(struct attention_back16 *b, struct par *par, const struct attention *a,
                          const struct attention_grads *g, size_t T, size_t most, struct err *e)
{
    const struct attention_shape *c = a->c;
    const size_t vd = attention_value_dim(c);

    *b = (struct attention_back16){.a = a, .g = g, .T = T, .keys = pieces(most)};
    b->room_bytes = pieces(room_bytes(b));
    return rows_make(&b->q, T, c->heads * c->head_dim, e) == 0 &&
                   rows_make(&b->k, T, c->kv_heads * c->head_dim, e) == 0 &&
                   rows_make(&b->v, T, c->kv_heads * vd, e) == 0 &&
                   rows_make(&b->x, T, c->heads * vd, e) == 0 &&
                   (b->room = mem_raw(par_threads(par), b->room_bytes, e)) &&
                   par_for(par, (T + PIECE - 1) / PIECE, pack_piece, b, e) == 0
               ? 0
               : -1;
}

void attention_back16_release(struct attention_back16 *b)
{
    free(b->q);
    free(b->k);
    free(b->v);
    free(b->x);
    free(b->room);
    *b = (struct attention_back16){0};
}

/* ---- a task ---- */

void attention_back16_begin(const struct attention_back16 *b, size_t worker)
{
    const struct attention_shape *c = b->a->c;
    const struct room r = room_of(b, worker);

    memset(r.k, 0, (b->keys + PIECE) * (c->head_dim + attention_value_dim(c)) * sizeof *r.k);
}

void attention_back16_end(const struct attention_back16 *b, const struct task *whole, size_t kv,
                          size_t worker)
{
    const struct attention *a = b->a;
    const size_t hd = a->c->head_dim, vd = attention_value_dim(a->c);
    const struct room r = room_of(b, worker);

    for (size_t t = 0; t < whole->rows; t++) {
        vec_add(b->g->k + (whole->row + t) * a->ldk + kv * hd, r.k + t * hd, hd);
        vec_add(b->g->v + (whole->row + t) * a->ldv + kv * vd, r.v + t * vd, vd);
    }
}

static void narrow_rows(const struct task *t, size_t rows, size_t keys, const float *x,
                        uint16_t *to)
{
    dtype_from_f32(DT_BF16, x, t->rows * keys, to);
    memset(to + t->rows * keys, 0, (rows - t->rows) * keys * sizeof *to);
}

int attention_back16_head(const struct attention_back16 *b, const struct task *t, size_t head,
                          size_t worker, double *sink, struct err *e)
{
    const struct attention *a = b->a;
    const struct attention_shape *c = a->c;
    const struct blas_table *by = a->by;
    const size_t hd = c->head_dim, vd = attention_value_dim(c), kv = head / group_of(c),
                 nq = c->heads * hd, nk = c->kv_heads * hd, nv = c->kv_heads * vd,
                 nx = c->heads * vd, rows = pieces(t->rows);
    const struct room r = room_of(b, worker);
    float sum[ATTENTION_QUERIES];
    size_t from, end;

    attention_range(a, t, &from, &end);

    const size_t keys = pieces(end - from), at = t->start + from;
    const uint16_t *q = b->q + t->row * nq + head * hd, *k = b->k + at * nk + kv * hd,
                   *v = b->v + at * nv + kv * vd, *x = b->x + t->row * nx + head * vd;

    if (by->tile16(0, 1, rows, keys, hd, q, nq, k, nk, r.p, keys, 0, e) < 0 ||
        by->tile16(0, 1, rows, keys, vd, x, nx, v, nv, r.d, keys, 0, e) < 0)
        return -1;
    if (c->cap != 0)
        memcpy(r.z, r.p, t->rows * keys * sizeof *r.z);
    attention_softmax(a, t, head, from, keys, r.p, sum);
    for (size_t j = 0; j < t->rows; j++)
        vec_scale(r.p + j * keys, keys, 1.0f / sum[j]);
    *sink = attention_softmax_back(c, t->rows, keys, r.p, r.z, r.d);
    narrow_rows(t, rows, keys, r.p, r.p16);
    narrow_rows(t, rows, keys, r.d, r.d16);
    if (by->tile16(1, 0, keys, vd, rows, r.p16, keys, x, nx, r.v + from * vd, vd, 1, e) < 0 ||
        by->tile16(1, 0, keys, hd, rows, r.d16, keys, q, nq, r.k + from * hd, hd, 1, e) < 0 ||
        by->tile16(0, 0, rows, hd, keys, r.d16, keys, k, nk, r.q, hd, 0, e) < 0)
        return -1;
    for (size_t j = 0; j < t->rows; j++)
        vec_add_times(b->g->q + (t->row + j) * a->ldq + head * hd, r.q + j * hd, hd,
                      attention_scale(c));
    return 0;
}
