/* SPDX-License-Identifier: Apache-2.0 */
/* op_delta - the gated delta rule (Yang et al. 2024, arXiv 2412.06464): each head of v has a state
 * S [key_dim, value_dim]. At each row S fades by exp(g); what it holds under the key k moves by
 * sigmoid(b) towards v; S' q is the result. k and q of unit length, q also by 1 / sqrt(key_dim).
 * Rows are [q | k | v]; heads of v share heads of q and k, neighbours the same. Row by row, one
 * task for a head of a sequence: no sum depends on threads. A cache keeps the states. Leaves out:
 * the forms that work on pieces of a sequence at once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "op_delta.h"
#include "vec.h"

struct delta {
    const struct op_args *a;
    float *room; /* of each worker: a state, q, k, what is under k */
    size_t each;
    const size_t *start; /* [nseq] first row */
};

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const struct delta_shape *s = &o->delta.shape;

    if (s->key_heads == 0 || s->value_heads % s->key_heads != 0)
        return err_set(e, ERR_USE, "%zu heads of values for %zu of keys", s->value_heads,
                       s->key_heads);
    if (p->slot[o->in[0]].width != 2 * s->key_heads * s->key_dim + s->value_heads * s->value_dim ||
        p->slot[o->in[1]].width != s->value_heads || p->slot[o->in[2]].width != s->value_heads ||
        p->slot[o->out].width != s->value_heads * s->value_dim || o->out == o->in[0] ||
        p->slot[o->out].route >= 0)
        return err_set(e, ERR_USE, "rows of %zu, %zu and %zu for %zu heads of %zu and %zu of %zu",
                       p->slot[o->in[0]].width, p->slot[o->in[1]].width, p->slot[o->in[2]].width,
                       s->key_heads, s->key_dim, s->value_heads, s->value_dim);
    return 0;
}

static void caches(const struct op *o, struct kv_layer *l)
{
    const struct delta_shape *s = &o->delta.shape;

    l->state = s->value_heads * s->key_dim * s->value_dim;
}

void delta_unit(const float *x, size_t n, float scale, float *y)
{
    float sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    scale /= sqrtf(sum + 1e-6f);
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * scale;
}

void delta_row(const struct delta_shape *s, float *state, const float *q, const float *k,
               const float *v, float beta, float fade, float *under, float *y)
{
    const size_t dv = s->value_dim;

    memset(under, 0, dv * sizeof *under);
    memset(y, 0, dv * sizeof *y);
    for (size_t i = 0; i < s->key_dim; i++) {
        vec_scale(state + i * dv, dv, fade);
        vec_add_times(under, state + i * dv, dv, k[i]);
    }
    for (size_t j = 0; j < dv; j++)
        under[j] = (v[j] - under[j]) * beta;
    for (size_t i = 0; i < s->key_dim; i++) {
        vec_add_times(state + i * dv, under, dv, k[i]);
        vec_add_times(y, state + i * dv, dv, q[i]);
    }
}

static int task(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct delta *d = ctx;
    const struct op_args *a = d->a;
    const struct delta_shape *s = &a->op->delta.shape;
    const size_t seq = i / s->value_heads, h = i % s->value_heads, dk = s->key_dim,
                 dv = s->value_dim, key = h / (s->value_heads / s->key_heads),
                 nk = s->key_heads * dk, size = dk * dv;
    const struct op_cache *c = a->cache;
    float *room = d->room + worker * d->each, *q = room + size, *k = q + dk,
          *state =
              c ? kv_state(c->kv, c->block, a->op->delta.number, c->slots[seq]) + h * size : room;

    (void)e;
    if (!c || !c->first[seq])
        memset(state, 0, size * sizeof *state);
    for (size_t t = d->start[seq]; t < d->start[seq] + (size_t)a->rows->lengths[seq]; t++) {
        const float *x = a->in[0] + t * a->width[0];

        delta_unit(x + key * dk, dk, 1.0f / sqrtf((float)dk), q);
        delta_unit(x + nk + key * dk, dk, 1.0f, k);
        delta_row(s, state, q, k, x + 2 * nk + h * dv, vec_sigmoid(a->in[1][t * a->width[1] + h]),
                  expf(a->in[2][t * a->width[2] + h]), k + dk, a->out + t * a->width_out + h * dv);
    }
    return 0;
}

size_t *delta_starts(const struct rows *r, struct err *e)
{
    size_t *start = mem_array(r->nseq + 1, sizeof *start, e);

    for (size_t i = 0; start && i < r->nseq; i++)
        start[i + 1] = start[i] + (size_t)r->lengths[i];
    return start;
}

static int run(const struct op_args *a, struct err *e)
{
    const struct delta_shape *s = &a->op->delta.shape;
    struct delta d = {.a = a, .each = s->key_dim * (s->value_dim + 2) + s->value_dim};
    size_t *start = delta_starts(a->rows, e);
    int rc = -1;

    d.start = start;
    d.each = (d.each + 15) / 16 * 16;
    if (start && (d.room = mem_raw(d.each * par_threads(a->par), sizeof *d.room, e)))
        rc = par_for(a->par, a->rows->nseq * s->value_heads, task, &d, e);
    free(d.room);
    free(start);
    return rc;
}

static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    const struct delta_shape *s = &o->delta.shape;

    c->flops = 7 * l->tokens * (double)(s->value_heads * s->key_dim * s->value_dim);
    c->bytes =
        sizeof(float) * l->tokens * (double)(p->slot[o->in[0]].width + p->slot[o->out].width);
}

const struct op_kind op_delta = {.name = "delta rule",
                                 .inputs = 3,
                                 .check = check,
                                 .run = run,
                                 .back = delta_back,
                                 .keeps = 1u << 0 | 1u << 1 | 1u << 2,
                                 .caches = caches,
                                 .cost = cost};
