/* SPDX-License-Identifier: Apache-2.0 */
/* op_scatter - each token gets what its experts made, each times its weight: y += sum w x. In the
 * order of the experts, so that nothing depends on threads. */
#include "op.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    if (p->slot[o->in[0]].route != o->in[1] || p->slot[o->out].route >= 0 ||
        p->slot[o->in[0]].width != p->slot[o->out].width)
        return err_set(e, ERR_USE, "slot %d does not hold rows for slot %d by its route", o->in[0],
                       o->out);
    return 0;
}

static int run(const struct op_args *a, struct err *e)
{
    const size_t n = a->width_out;

    (void)e;
    for (size_t i = 0; i < a->groups->count; i++) {
        const float *x = a->in[0] + i * n, w = a->groups->weight[i];
        float *y = a->out + a->groups->token[i] * n;

        for (size_t k = 0; k < n; k++)
            y[k] += w * x[k];
    }
    return 0;
}

static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    const double n = l->tokens * (double)(p->slot[o->in[0]].top * p->slot[o->in[0]].width);

    c->flops = 2 * n;
    c->bytes = 3 * sizeof(float) * n;
}

const struct op_kind op_scatter = {
    .name = "scatter", .inputs = 2, .check = check, .run = run, .cost = cost};
