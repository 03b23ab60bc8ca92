/* SPDX-License-Identifier: Apache-2.0 */
/* op_linear - y = x W', or added to what is there; of all rows or of those of one expert. The
 * weights are those of the block at work: the checkpoint's, or of a commit. */
#include <stdlib.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "op.h"
#include "weights16.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const struct op_tensor *w = &o->tensor[0];
    const struct program_slot *to = &p->slot[o->out];

    if (w->shape[0] != to->width)
        return err_set(e, ERR_USE, "it makes rows of %llu, slot %d has rows of %zu",
                       (unsigned long long)w->shape[0], o->out, to->width);
    if (w->shape[1] != p->slot[o->in[0]].width)
        return err_set(e, ERR_USE, "it reads rows of %llu, slot %d has rows of %zu",
                       (unsigned long long)w->shape[1], o->in[0], p->slot[o->in[0]].width);
    if ((o->expert >= 0) != (to->route >= 0))
        return err_set(e, ERR_USE, "slot %d %s rows of experts", o->out,
                       to->route >= 0 ? "has" : "has no");
    if (o->expert >= 0 && (size_t)o->expert >= to->experts)
        return err_set(e, ERR_USE, "expert %d of %zu", o->expert, to->experts);
    if (w->turned && (w->first || w->shape[0] != w->total))
        return err_set(e, ERR_USE, "'%s' is turned: it holds one linear", w->whole);
    if (w->whole && (w->first > w->total || w->shape[0] > w->total - w->first ||
                     (w->stacked && w->which >= w->stacked)))
        return err_set(e, ERR_USE, "'%s' does not hold its rows", w->whole);
    return 0;
}

static int run(const struct op_args *a, struct err *e)
{
    const size_t N = a->width_out, K = a->width[0];

    if (a->narrow)
        return a->products->linear16(a->par, a->count, N, K, a->in16, a->in16 ? NULL : a->in[0], K,
                                     a->narrow->w, a->narrow->rest, K, a->out, N, a->op->adds, e);
    return a->products->linear(a->par, a->count, N, K, a->in[0], K, a->tensor[0], K, a->out, N,
                               a->op->adds, e);
}

/* The same of bf16: both sides of a product are rounded to it. */
static int back16(const struct op_back *b, struct err *e)
{
    const struct op_args *a = &b->a;
    const size_t N = a->width_out, K = a->width[0], T = a->count;
    const struct blas_table *by = a->products;
    const int weights = b->grad_tensor[0] && T, add = !(b->fresh & 1u), own = weights && !a->in16;
    uint16_t *dy = mem_raw(T * (N + (own ? K : 0)) + 1, sizeof *dy, e), *x = dy + T * N;
    int rc = dy ? by->narrow(a->par, T * N, b->grad, dy, e) : -1;

    if (rc == 0)
        rc = by->product16(a->par, T, K, N, dy, N, a->narrow->w, K, b->grad_in[0], K, add, e);
    if (rc == 0 && a->narrow->rest)
        rc = by->product16(a->par, T, K, N, dy, N, a->narrow->rest, K, b->grad_in[0], K, 1, e);
    if (rc == 0 && own)
        rc = by->narrow(a->par, T * K, a->in[0], x, e);
    if (rc == 0 && weights)
        rc = by->slopes16(a->par, T, N, K, dy, N, own ? x : a->in16, K, b->grad_tensor[0], K, e);
    free(dy);
    return rc;
}

/* dx += dy W, dW = dy' x. */
static int back(const struct op_back *b, struct err *e)
{
    const struct op_args *a = &b->a;
    const size_t N = a->width_out, K = a->width[0];

    if (a->narrow)
        return back16(b, e);
    if (a->products->product(a->par, a->count, K, N, b->grad, N, a->tensor[0], K, b->grad_in[0], K,
                             !(b->fresh & 1u), e) < 0)
        return -1;
    if (!b->grad_tensor[0] || !a->count)
        return 0;
    return a->products->slopes(a->par, a->count, N, K, b->grad, N, a->in[0], K, b->grad_tensor[0],
                               K, e);
}

static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    const struct program_slot *s = &p->slot[o->out];
    const double N = (double)s->width, K = (double)p->slot[o->in[0]].width,
                 T = l->tokens * (double)s->top / (double)(o->expert < 0 ? 1 : s->experts);

    c->flops = 2 * T * N * K;
    c->bytes = sizeof(float) * (N * K + T * (K + N));
}

const struct op_kind op_linear = {.name = "linear",
                                  .inputs = 1,
                                  .tensors = 1,
                                  .local = 1,
                                  .check = check,
                                  .run = run,
                                  .back = back,
                                  .keeps = 1u << 0,
                                  .begins = 1,
                                  .cost = cost};
