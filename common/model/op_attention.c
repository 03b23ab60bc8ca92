/* SPDX-License-Identifier: Apache-2.0 */
/* op_attention - attention (attention.h) of q, k and v, with the rows of a cache before them
 * where there is one. */
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "attention16.h"
#include "op.h"

static void caches(const struct op *o, struct kv_layer *l)
{
    const struct attention_shape *s = &o->attention.shape;

    l->keys = s->kv_heads * s->head_dim;
    l->values = s->kv_heads * attention_value_dim(s);
}

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const struct attention_shape *s = &o->attention.shape;
    const size_t vd = attention_value_dim(s),
                 n[3] = {s->heads * s->head_dim, s->kv_heads * s->head_dim, s->kv_heads * vd};

    if (s->kv_heads == 0 || s->heads % s->kv_heads != 0)
        return err_set(e, ERR_USE, "%zu heads share %zu", s->heads, s->kv_heads);
    for (size_t i = 0; i < 3; i++)
        if (p->slot[o->in[i]].route >= 0 || p->slot[o->in[i]].width != n[i])
            return err_set(e, ERR_USE, "slot %d has rows of %zu, not of %zu", o->in[i],
                           p->slot[o->in[i]].width, n[i]);
    return p->slot[o->out].width == s->heads * vd
               ? 0
               : err_set(e, ERR_USE, "slot %d is not as wide", o->out);
}

/* Rows of k and v go behind those that the cache has. */
static void cache_append(const struct op_args *a, const float **keys, const float **values)
{
    const struct op_cache *c = a->cache;
    const size_t nk = a->width[1], nv = a->width[2], number = a->op->attention.number;
    const float *k = a->in[1], *v = a->in[2];

    for (size_t s = 0; s < a->rows->nseq; s++) {
        const size_t n = (size_t)a->rows->lengths[s];
        float *to = kv_keys(c->kv, c->block, number, c->slots[s]);
        float *too = kv_values(c->kv, c->block, number, c->slots[s]);

        memcpy(to + c->first[s] * nk, k, n * nk * sizeof *k);
        memcpy(too + c->first[s] * nv, v, n * nv * sizeof *v);
        keys[s] = to;
        values[s] = too;
        k += n * nk;
        v += n * nv;
    }
}

static struct attention_shape shape_of(const struct op_args *a)
{
    struct attention_shape s = a->op->attention.shape;

    s.sinks = a->op->kind->tensors ? a->tensor[0] : NULL;
    return s;
}

static int run(const struct op_args *a, struct err *e)
{
    const struct attention_shape s = shape_of(a);
    const struct attention16 *by16 = a->half && a->products->has_bf16() ? attention16_nth(0) : NULL;
    const float **keys;
    int rc;

    if (!a->cache && by16)
        return attention_run16(a->par, by16, &s, a->rows, a->in[0], a->width[0], a->in[1],
                               a->width[1], a->in[2], a->width[2], a->out, e);
    if (!a->cache)
        return attention_run(a->par, &s, a->rows, a->in[0], a->width[0], a->in[1], a->width[1],
                             a->in[2], a->width[2], a->out, e);
    if (!(keys = mem_array(2 * a->rows->nseq, sizeof *keys, e)))
        return -1;
    cache_append(a, keys, keys + a->rows->nseq);
    rc = attention_cached(a->par, &s, a->rows, a->cache->first, a->in[0], a->width[0], keys,
                          a->width[1], keys + a->rows->nseq, a->width[2], a->out, e);
    free(keys);
    return rc;
}

int op_attention_received(const struct op_args *a, double *received, struct err *e)
{
    const struct attention_shape s = shape_of(a);

    return attention_received(a->par, a->products, &s, a->rows, a->in[0], a->width[0], a->in[1],
                              a->width[1], received, e);
}

static int back(const struct op_back *b, struct err *e)
{
    const struct op_args *a = &b->a;
    const struct attention_shape s = shape_of(a);
    struct attention_grads g = {
        .x = b->grad, .q = b->grad_in[0], .k = b->grad_in[1], .v = b->grad_in[2]};
    int rc;

    if (b->grad_tensor[0] && !(g.sinks = mem_array(a->rows->nseq * s.heads, sizeof *g.sinks, e)))
        return -1;
    rc = attention_back(a->par, a->products, a->half && a->products->has_bf16(), &s, a->rows,
                        a->in[0], a->width[0], a->in[1], a->width[1], a->in[2], a->width[2], &g, e);
    for (size_t h = 0; g.sinks && h < s.heads; h++) {
        double sum = 0;

        for (size_t i = 0; i < a->rows->nseq; i++)
            sum += g.sinks[i * s.heads + h];
        b->grad_tensor[0][h] = (float)sum;
    }
    free(g.sinks);
    return rc;
}

/* Half of the keys of a sequence are seen, or the window. */
static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    const struct attention_shape *s = &o->attention.shape;
    const double nq = (double)p->slot[o->in[0]].width, n = (double)p->slot[o->out].width,
                 nk = (double)p->slot[o->in[1]].width, nv = (double)p->slot[o->in[2]].width;
    double seen = (l->length + 1) / 2;

    if (s->window && seen > (double)s->window)
        seen = (double)s->window;
    c->flops = 2 * l->tokens * seen * (nq + n);
    c->bytes = sizeof(float) * l->tokens * (nq + n + nk + nv);
}

const struct op_kind op_attention = {.name = "attention",
                                     .inputs = 3,
                                     .attends = 1,
                                     .check = check,
                                     .run = run,
                                     .back = back,
                                     .keeps = 1u << 0 | 1u << 1 | 1u << 2,
                                     .caches = caches,
                                     .cost = cost};
/* With a score of its own for each head. */
const struct op_kind op_attention_sinks = {.name = "attention with sinks",
                                           .inputs = 3,
                                           .tensors = 1,
                                           .attends = 1,
                                           .check = check,
                                           .run = run,
                                           .back = back,
                                           .keeps = 1u << 0 | 1u << 1 | 1u << 2,
                                           .caches = caches,
                                           .cost = cost};
