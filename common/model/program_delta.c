/* SPDX-License-Identifier: Apache-2.0 */
/* program_delta - see program_build.h: the operations of blocks without attention, in whose place
 * a state goes from row to row. */
#include "op.h"
#include "program_build.h"
#include "program_put.h"

int program_conv(struct program *p, int in, const char *name, size_t taps)
{
    const size_t width = put_width(p, in);
    struct op o = put_op(&op_conv, in, put_like(p, in, width));

    o.conv.taps = taps;
    o.conv.number = p->keepers++;
    o.tensor[0] = (struct op_tensor){
        .name = put_name(p, name, ".weight"), .ndim = 3, .shape = {width, 1, taps}};
    return put(p, &o);
}

static void vector(struct program *p, const struct op_kind *kind, int slot, const char *name)
{
    struct op o = put_op(kind, slot, slot);

    o.tensor[0] =
        (struct op_tensor){.name = put_name(p, name, ""), .ndim = 1, .shape = {put_width(p, slot)}};
    put(p, &o);
}

void program_vector(struct program *p, int slot, const char *name)
{
    vector(p, &op_bias, slot, name);
}

void program_decay(struct program *p, int slot, const char *rates)
{
    vector(p, &op_decay, slot, rates);
}

int program_delta(struct program *p, int rows, int beta, int decay, const struct delta_shape *s)
{
    struct op o = put_op(&op_delta, rows, put_like(p, rows, s->value_heads * s->value_dim));

    o.in[1] = beta;
    o.in[2] = decay;
    o.delta.shape = *s;
    o.delta.number = p->keepers++;
    return put(p, &o);
}
