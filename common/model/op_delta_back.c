/* SPDX-License-Identifier: Apache-2.0 */
/* op_delta_back - the product of the gated delta rule (op_delta.c), row by row from the last one
 * back. Of the states only those at the beginning of each SEGMENT rows are kept; the ones between
 * are made again. One task for a head of the keys of a sequence: heads of values that share it come
 * in order, so that no sum depends on threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "op.h"
#include "op_delta.h"
#include "vec.h"

enum { SEGMENT = 32 };

struct delta_back {
    const struct op_back *b;
    const size_t *start; /* [nseq] first row */
    float *room;         /* of each worker */
    size_t each, marks;  /* marks: states that are kept of the longest sequence */
};

/* What a worker has in its room. */
struct delta_room {
    float *state;                /* [SEGMENT + 1, dk, dv] before and after each row */
    float *mark;                 /* [marks, dk, dv] */
    float *grad;                 /* [dk, dv] of the state */
    float *q, *k, *gq, *gk;      /* [dk] */
    float *under, *moved, *move; /* [dv] what is under k, what is added there, its gradient */
};

static struct delta_room room_of(const struct delta_back *x, size_t worker)
{
    const struct delta_shape *s = &x->b->a.op->delta.shape;
    const size_t dk = s->key_dim, dv = s->value_dim, size = dk * dv;
    struct delta_room p = {.state = x->room + worker * x->each};

    p.mark = p.state + (SEGMENT + 1) * size;
    p.grad = p.mark + x->marks * size;
    p.q = p.grad + size;
    p.k = p.q + dk;
    p.gq = p.k + dk;
    p.gk = p.gq + dk;
    p.under = p.gk + dk;
    p.moved = p.under + dv;
    p.move = p.moved + dv;
    return p;
}

struct place { /* a row of a head */
    size_t t, key, head;
};

static const float *keys_of(const struct op_args *a, const struct place *at)
{
    return a->in[0] + at->t * a->width[0] + at->key * a->op->delta.shape.key_dim;
}

/* q and k of the row, its state behind it to `to`. */
static void row_forward(const struct op_args *a, const struct place *at, struct delta_room *p,
                        const float *from, float *to)
{
    const struct delta_shape *s = &a->op->delta.shape;
    const size_t dk = s->key_dim, dv = s->value_dim, nk = s->key_heads * dk;
    const float *x = keys_of(a, at);

    delta_unit(x, dk, 1.0f / sqrtf((float)dk), p->q);
    delta_unit(x + nk, dk, 1.0f, p->k);
    if (to != from)
        memcpy(to, from, dk * dv * sizeof *to);
    delta_row(s, to, p->q, p->k, x + 2 * nk - at->key * dk + at->head * dv,
              vec_sigmoid(a->in[1][at->t * a->width[1] + at->head]),
              expf(a->in[2][at->t * a->width[2] + at->head]), p->under, p->moved);
}

/* To dx is added what the gradient g of scale x / |x| gives. */
static void unit_back(const float *x, size_t n, double scale, const float *g, float *dx)
{
    double sum = 1e-6, along = 0, r;

    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i] * (double)x[i];
        along += (double)x[i] * (double)g[i];
    }
    r = scale / sqrt(sum);
    for (size_t i = 0; i < n; i++)
        dx[i] += (float)(r * ((double)g[i] - (double)x[i] * along / sum));
}

static double dot(const float *x, const float *y, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    return sum;
}

/* before, after: the states around the row. The gradient of the one after becomes that of the one
 * before. */
static void row_back(const struct op_back *b, const struct place *at, struct delta_room *p,
                     const float *before, const float *after)
{
    const struct op_args *a = &b->a;
    const struct delta_shape *s = &a->op->delta.shape;
    const size_t dk = s->key_dim, dv = s->value_dim, nk = s->key_heads * dk,
                 value = 2 * nk - at->key * dk + at->head * dv,
                 in1 = at->t * a->width[1] + at->head, in2 = at->t * a->width[2] + at->head;
    const float *x = keys_of(a, at), *v = x + value,
                *g = b->grad + at->t * a->width_out + at->head * dv;
    float *to = b->grad_in[0] + (x - a->in[0]), beta = vec_sigmoid(a->in[1][in1]),
          fade = expf(a->in[2][in2]);
    double faded = 0;

    delta_unit(x, dk, 1.0f / sqrtf((float)dk), p->q);
    delta_unit(x + nk, dk, 1.0f, p->k);
    memset(p->under, 0, dv * sizeof *p->under);
    memset(p->move, 0, dv * sizeof *p->move);
    for (size_t i = 0; i < dk; i++) {
        vec_add_times(p->under, before + i * dv, dv, p->k[i] * fade);
        p->gq[i] = (float)dot(after + i * dv, g, dv);
        vec_add_times(p->grad + i * dv, g, dv, p->q[i]);
        vec_add_times(p->move, p->grad + i * dv, dv, p->k[i]);
    }
    for (size_t j = 0; j < dv; j++)
        p->moved[j] = (v[j] - p->under[j]) * beta;
    for (size_t i = 0; i < dk; i++)
        p->gk[i] = (float)dot(p->grad + i * dv, p->moved, dv);
    b->grad_in[1][in1] += (float)(dot(p->move, p->moved, dv) * (1 - (double)beta));
    vec_add_times(to + value, p->move, dv, beta);
    for (size_t i = 0; i < dk; i++) {
        p->gk[i] -= fade * beta * (float)dot(before + i * dv, p->move, dv);
        vec_add_times(p->grad + i * dv, p->move, dv, -beta * p->k[i]);
        faded += dot(p->grad + i * dv, before + i * dv, dv);
        vec_scale(p->grad + i * dv, dv, fade);
    }
    b->grad_in[2][in2] += (float)(faded * (double)fade);
    unit_back(x, dk, 1 / sqrt((double)dk), p->gq, to);
    unit_back(x + nk, dk, 1, p->gk, to + nk);
}

/* One head of values of a sequence of n rows. */
static void head_back(const struct delta_back *x, size_t start, size_t n, size_t key, size_t head,
                      struct delta_room *p)
{
    const struct op_args *a = &x->b->a;
    const size_t size = a->op->delta.shape.key_dim * a->op->delta.shape.value_dim;

    memset(p->state, 0, size * sizeof *p->state);
    memset(p->grad, 0, size * sizeof *p->grad);
    for (size_t t = 0; t < n; t++) {
        if (t % SEGMENT == 0)
            memcpy(p->mark + t / SEGMENT * size, p->state, size * sizeof *p->state);
        row_forward(a, &(struct place){start + t, key, head}, p, p->state, p->state);
    }
    for (size_t m = (n + SEGMENT - 1) / SEGMENT; m-- > 0;) {
        const size_t first = m * SEGMENT, rows = n - first < SEGMENT ? n - first : SEGMENT;

        memcpy(p->state, p->mark + m * size, size * sizeof *p->state);
        for (size_t j = 0; j < rows; j++)
            row_forward(a, &(struct place){start + first + j, key, head}, p, p->state + j * size,
                        p->state + (j + 1) * size);
        for (size_t j = rows; j-- > 0;)
            row_back(x->b, &(struct place){start + first + j, key, head}, p, p->state + j * size,
                     p->state + (j + 1) * size);
    }
}

static int task(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct delta_back *x = ctx;
    const struct delta_shape *s = &x->b->a.op->delta.shape;
    const size_t seq = i / s->key_heads, key = i % s->key_heads,
                 shared = s->value_heads / s->key_heads;
    struct delta_room p = room_of(x, worker);

    (void)e;
    for (size_t h = key * shared; h < (key + 1) * shared; h++)
        head_back(x, x->start[seq], (size_t)x->b->a.rows->lengths[seq], key, h, &p);
    return 0;
}

int delta_back(const struct op_back *b, struct err *e)
{
    const struct op_args *a = &b->a;
    const struct delta_shape *s = &a->op->delta.shape;
    size_t *start = delta_starts(a->rows, e), most = 0;
    struct delta_back x = {.b = b, .start = start};
    int rc = -1;

    for (size_t i = 0; i < a->rows->nseq; i++)
        most = (size_t)a->rows->lengths[i] > most ? (size_t)a->rows->lengths[i] : most;
    x.marks = (most + SEGMENT - 1) / SEGMENT;
    x.each =
        (SEGMENT + 2 + x.marks) * s->key_dim * s->value_dim + 4 * s->key_dim + 3 * s->value_dim;
    x.each = (x.each + 15) / 16 * 16;
    if (start && (x.room = mem_raw(x.each * par_threads(a->par), sizeof *x.room, e)))
        rc = par_for(a->par, a->rows->nseq * s->key_heads, task, &x, e);
    free(x.room);
    free(start);
    return rc;
}
