/* SPDX-License-Identifier: Apache-2.0 */
/* op_conv - a short convolution over time, each number of a row by itself, and silu: a row sees
 * itself and the rows before it in its sequence; before the first one there are zeros. A cache
 * keeps the last rows of the input. */
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "op.h"
#include "vec.h"

enum { TILE_ROWS = 32 };

struct conv {
    const struct op_args *a;
    size_t taps;
    const float *weights, *ones; /* [taps, width], [width] */
};

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const size_t n = p->slot[o->out].width;

    if (o->in[0] == o->out || p->slot[o->out].route >= 0 || p->slot[o->in[0]].width != n ||
        o->tensor[0].shape[0] != n || o->conv.taps < 1)
        return err_set(e, ERR_USE, "a convolution of %zu rows of %zu, with weights for %llu",
                       o->conv.taps, p->slot[o->in[0]].width,
                       (unsigned long long)o->tensor[0].shape[0]);
    return 0;
}

static void caches(const struct op *o, struct kv_layer *l)
{
    l->state = (o->conv.taps - 1) * (size_t)o->tensor[0].shape[0];
}

static float *state_of(const struct op_args *a, size_t seq)
{
    return a->cache
               ? kv_state(a->cache->kv, a->cache->block, a->op->conv.number, a->cache->slots[seq])
               : NULL;
}

/* Row `at` of a sequence whose first row here is `rows` and the one before it the last of state
 * (NULL: zeros). */
static void conv_sum(const struct conv *c, const float *rows, const float *state, size_t at,
                     float *y)
{
    const size_t n = c->a->width_out;

    memset(y, 0, n * sizeof *y);
    for (size_t j = 0; j < c->taps; j++) {
        const size_t back = c->taps - 1 - j;
        const float *x = back <= at ? rows + (at - back) * n : state ? state + (at + j) * n : NULL;
        const float *w = c->weights + j * n;

        for (size_t i = 0; x && i < n; i++)
            y[i] += w[i] * x[i];
    }
}

static int tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct conv *c = ctx;
    const struct op_args *a = c->a;
    const size_t n = a->width_out, low = i * TILE_ROWS, high = low + TILE_ROWS;
    size_t start = 0;

    (void)worker;
    (void)e;
    for (size_t s = 0; s < a->rows->nseq && start < high; s++) {
        const size_t end = start + (size_t)a->rows->lengths[s];
        const float *state = a->cache && a->cache->first[s] ? state_of(a, s) : NULL;

        for (size_t t = low > start ? low : start; t < high && t < end; t++) {
            float *y = a->out + t * n;

            conv_sum(c, a->in[0] + start * n, state, t - start, y);
            vec_silu_mul(y, c->ones, n);
        }
        start = end;
    }
    return 0;
}

/* The last rows of each sequence, for those that come. */
static void state_move(const struct op_args *a, size_t taps)
{
    const size_t n = a->width_out, keep = taps - 1;
    const float *x = a->in[0];

    for (size_t s = 0; s < a->rows->nseq; s++) {
        const size_t length = (size_t)a->rows->lengths[s], old = length < keep ? keep - length : 0;
        float *state = state_of(a, s);

        if (!a->cache->first[s])
            memset(state, 0, keep * n * sizeof *state);
        memmove(state, state + (keep - old) * n, old * n * sizeof *state);
        memcpy(state + old * n, x + (length - (keep - old)) * n, (keep - old) * n * sizeof *state);
        x += length * n;
    }
}

/* [taps, width], and [width] ones behind them. */
static float *weights_make(const struct op_args *a, struct err *e)
{
    const size_t n = a->width_out, taps = a->op->conv.taps;
    float *w = mem_raw((taps + 1) * n, sizeof *w, e);

    for (size_t i = 0; w && i < n; i++) {
        for (size_t j = 0; j < taps; j++)
            w[j * n + i] = a->tensor[0][i * taps + j];
        w[taps * n + i] = 1;
    }
    return w;
}

static int run(const struct op_args *a, struct err *e)
{
    const size_t n = a->width_out, taps = a->op->conv.taps;
    float *w = weights_make(a, e);
    struct conv c = {.a = a, .taps = taps, .weights = w, .ones = w ? w + taps * n : NULL};
    int rc;

    if (!w)
        return -1;
    rc = par_for(a->par, (a->rows->T + TILE_ROWS - 1) / TILE_ROWS, tile, &c, e);
    if (rc == 0 && a->cache)
        state_move(a, taps);
    free(w);
    return rc;
}

/* ---- backwards ---- */

struct conv_back {
    const struct op_back *b;
    struct conv c;
    float *inner; /* [T, width] the gradient before silu */
    size_t *end;  /* [T] one behind the last row of the sequence */
};

/* The sums before silu again, then their gradients. */
static int inner_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct conv_back *x = ctx;
    const struct op_args *a = &x->b->a;
    const size_t n = a->width_out, low = i * TILE_ROWS, high = low + TILE_ROWS;
    size_t start = 0;

    (void)worker;
    (void)e;
    for (size_t s = 0; s < a->rows->nseq && start < high; s++) {
        const size_t end = start + (size_t)a->rows->lengths[s];

        for (size_t t = low > start ? low : start; t < high && t < end; t++) {
            float *z = x->inner + t * n;

            conv_sum(&x->c, a->in[0] + start * n, NULL, t - start, z);
            for (size_t k = 0; k < n; k++) {
                const float y = vec_sigmoid(z[k]);

                z[k] = x->b->grad[t * n + k] * y * (1 + z[k] * (1 - y));
            }
            x->end[t] = end;
        }
        start = end;
    }
    return 0;
}

/* A row was seen by itself and by those behind it. */
static int rows_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct conv_back *x = ctx;
    const size_t n = x->b->a.width_out, T = x->b->a.rows->T, low = i * TILE_ROWS;

    (void)worker;
    (void)e;
    for (size_t t = low; t < low + TILE_ROWS && t < T; t++)
        for (size_t ahead = 0; ahead < x->c.taps && t + ahead < x->end[t]; ahead++) {
            const float *w = x->c.weights + (x->c.taps - 1 - ahead) * n,
                        *z = x->inner + (t + ahead) * n;
            float *to = x->b->grad_in[0] + t * n;

            for (size_t k = 0; k < n; k++)
                to[k] += w[k] * z[k];
        }
    return 0;
}

/* Of the weights of one number of a row. */
static int weights_task(void *ctx, size_t k, size_t worker, struct err *e)
{
    const struct conv_back *x = ctx;
    const size_t n = x->b->a.width_out, T = x->b->a.rows->T, taps = x->c.taps;

    (void)worker;
    (void)e;
    for (size_t ahead = 0; ahead < taps; ahead++) {
        double sum = 0;

        for (size_t t = 0; t < T; t++)
            if (t + ahead < x->end[t])
                sum += (double)x->b->a.in[0][t * n + k] * (double)x->inner[(t + ahead) * n + k];
        x->b->grad_tensor[0][k * taps + taps - 1 - ahead] = (float)sum;
    }
    return 0;
}

static int back(const struct op_back *b, struct err *e)
{
    const struct op_args *a = &b->a;
    const size_t n = a->width_out, T = a->rows->T, tiles = (T + TILE_ROWS - 1) / TILE_ROWS;
    struct conv_back x = {.b = b, .c = {.a = a, .taps = a->op->conv.taps}};
    float *w = weights_make(a, e);
    int rc = -1;

    x.c.weights = w;
    x.inner = mem_raw(T * n, sizeof *x.inner, e);
    x.end = mem_array(T, sizeof *x.end, e);
    if (w && x.inner && x.end && par_for(a->par, tiles, inner_tile, &x, e) == 0 &&
        par_for(a->par, tiles, rows_tile, &x, e) == 0)
        rc = b->grad_tensor[0] ? par_for(a->par, n, weights_task, &x, e) : 0;
    free(x.inner);
    free(x.end);
    free(w);
    return rc;
}

static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    const double n = l->tokens * (double)p->slot[o->out].width;

    c->flops = (2 * (double)o->conv.taps + 4) * n;
    c->bytes = 2 * sizeof(float) * n;
}

const struct op_kind op_conv = {.name = "convolution",
                                .inputs = 1,
                                .tensors = 1,
                                .check = check,
                                .run = run,
                                .back = back,
                                .keeps = 1u << 0,
                                .caches = caches,
                                .cost = cost};
