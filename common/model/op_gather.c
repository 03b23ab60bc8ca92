/* SPDX-License-Identifier: Apache-2.0 */
/* op_gather - the rows of the experts: each expert's one behind the other, in the order of the
 * tokens. */
#include <string.h>
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    if (p->slot[o->out].route != o->in[1] || p->slot[o->in[0]].route >= 0 ||
        p->slot[o->in[0]].width != p->slot[o->out].width)
        return err_set(e, ERR_USE, "slot %d does not hold the rows of slot %d by its route", o->out,
                       o->in[0]);
    return 0;
}

static int run(const struct op_args *a, struct err *e)
{
    (void)e;
    for (size_t i = 0; i < a->groups->count; i++)
        memcpy(a->out + i * a->width_out, a->in[0] + a->groups->token[i] * a->width_out,
               a->width_out * sizeof *a->out);
    return 0;
}

/* A token gets what its rows got, in the order of the experts. */
static int back(const struct op_back *b, struct err *e)
{
    const size_t n = b->a.width_out;

    (void)e;
    for (size_t i = 0; i < b->a.groups->count; i++)
        vec_add(b->grad_in[0] + b->a.groups->token[i] * n, b->grad + i * n, n);
    return 0;
}

static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    c->flops = 0;
    c->bytes =
        2 * sizeof(float) * l->tokens * (double)(p->slot[o->out].top * p->slot[o->out].width);
}

const struct op_kind op_gather = {
    .name = "gather", .inputs = 2, .check = check, .run = run, .back = back, .cost = cost};
