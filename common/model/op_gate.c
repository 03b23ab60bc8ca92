/* SPDX-License-Identifier: Apache-2.0 */
/* op_gate - gate = a(gate) * up with an activation a, in place. Leaves out: clamps
 * (op_swiglu.c). */
#include "op.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    return o->in[0] == o->out && p->slot[o->in[1]].width == p->slot[o->out].width
               ? 0
               : err_set(e, ERR_USE, "a gate of %zu for rows of %zu", p->slot[o->out].width,
                         p->slot[o->in[1]].width);
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    activation_gate(a->op->gate.activation, a->out + first * a->width_out,
                    a->in[1] + first * a->width_out, count * a->width_out);
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t at = first * b->a.width_out;

    (void)sum;
    activation_gate_back(b->a.op->gate.activation, b->a.in[0] + at, b->a.in[1] + at,
                         count * b->a.width_out, b->grad + at, b->grad_in[1] + at);
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

const struct op_kind op_gate = {.name = "gate",
                                .inputs = 2,
                                .local = 1,
                                .check = check,
                                .each = each,
                                .back = back,
                                .keeps = 1u << 0 | 1u << 1,
                                .begins = 1,
                                .flops = 4,
                                .moved = 3};
