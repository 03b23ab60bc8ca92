/* SPDX-License-Identifier: Apache-2.0 */
/* op_experts_times - the rows of each expert times a number of that expert, in place. */
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    if (o->in[0] != o->out || p->slot[o->out].route != o->in[1] ||
        o->tensor[0].shape[0] != p->slot[o->out].experts)
        return err_set(e, ERR_USE, "%llu factors for slot %d, which has rows of %zu experts",
                       (unsigned long long)o->tensor[0].shape[0], o->out, p->slot[o->out].experts);
    return 0;
}

static int run(const struct op_args *a, struct err *e)
{
    const struct op_groups *g = a->groups;

    (void)e;
    for (size_t x = 0; x < g->experts; x++)
        vec_scale(a->out + g->first[x] * a->width_out,
                  (g->first[x + 1] - g->first[x]) * a->width_out, a->tensor[0][x]);
    return 0;
}

/* The rows of an expert in order: its factor gets the same sum from any thread. */
static int back_expert(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct op_back *b = ctx;
    const struct op_groups *g = b->a.groups;
    const size_t from = g->first[i] * b->a.width_out, end = g->first[i + 1] * b->a.width_out;
    double sum = 0;

    (void)worker;
    (void)e;
    for (size_t k = from; b->grad_tensor[0] && k < end; k++)
        sum += (double)b->grad[k] * (double)b->a.in[0][k];
    if (b->grad_tensor[0])
        b->grad_tensor[0][i] = (float)sum;
    vec_scale(b->grad + from, end - from, b->a.tensor[0][i]);
    return 0;
}

static int back(const struct op_back *b, struct err *e)
{
    struct op_back own = *b;

    return par_for(b->a.par, b->a.groups->experts, back_expert, &own, e);
}

static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    const double n = l->tokens * (double)(p->slot[o->out].top * p->slot[o->out].width);

    c->flops = n;
    c->bytes = 2 * sizeof(float) * n;
}

const struct op_kind op_experts_times = {.name = "experts times",
                                         .inputs = 2,
                                         .tensors = 1,
                                         .check = check,
                                         .run = run,
                                         .back = back,
                                         .keeps = 1u << 0,
                                         .cost = cost};
