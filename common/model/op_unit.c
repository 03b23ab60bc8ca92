/* SPDX-License-Identifier: Apache-2.0 */
/* op_unit - y = x / sqrt(mean x^2 + eps) of each row, or of each of its heads: a norm without
 * weights. */
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const size_t n = p->slot[o->in[0]].width, heads = o->unit.heads;

    if (heads == 0 || n % heads != 0 || p->slot[o->out].width != n)
        return err_set(e, ERR_USE, "%zu numbers are not %zu heads", n, heads);
    return 0;
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    const size_t heads = a->op->unit.heads, n = a->width_out / heads;

    for (size_t i = first * heads; i < (first + count) * heads; i++)
        vec_unit(a->in[0] + i * n, n, (float)a->op->unit.eps, a->out + i * n);
}

static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    const double n = l->tokens * (double)(p->slot[o->out].top * p->slot[o->out].width);

    c->flops = 3 * n;
    c->bytes = 2 * sizeof(float) * n;
}

const struct op_kind op_unit = {
    .name = "unit", .inputs = 1, .local = 1, .check = check, .each = each, .cost = cost};
