/* SPDX-License-Identifier: Apache-2.0 */
/* op_activate - an activation of each number, in place: an MLP without a gate. */
#include "op.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    return o->in[0] == o->out
               ? 0
               : err_set(e, ERR_USE, "rows of %zu are not changed in place", p->slot[o->out].width);
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    activation_row(a->op->gate.activation, a->out + first * a->width_out, count * a->width_out);
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t n = b->a.width_out;

    (void)sum;
    for (size_t i = first * n; i < (first + count) * n; i++)
        b->grad[i] *= (float)activation_slope(b->a.op->gate.activation, (double)b->a.in[0][i]);
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

const struct op_kind op_activate = {.name = "activate",
                                    .inputs = 1,
                                    .local = 1,
                                    .check = check,
                                    .each = each,
                                    .back = back,
                                    .keeps = 1u << 0,
                                    .flops = 4,
                                    .moved = 2};
