/* SPDX-License-Identifier: Apache-2.0 */
/* program_times - see program_build.h: norms without weights, factors of rows. */
#include "op.h"
#include "program_build.h"
#include "program_put.h"

static int unit(struct program *p, int in, int out, size_t heads, double eps)
{
    struct op o = put_op(&op_unit, in, out);

    o.unit.heads = heads;
    o.unit.eps = eps;
    return put(p, &o);
}

int program_unit(struct program *p, int in, size_t heads, double eps)
{
    return unit(p, in, put_like(p, in, put_width(p, in)), heads, eps);
}

void program_unit_in(struct program *p, int slot, size_t heads, double eps)
{
    unit(p, slot, slot, heads, eps);
}

void program_times(struct program *p, int slot, const char *name, size_t count, double by)
{
    struct op o = put_op(&op_times, slot, slot);

    o.times.by = (float)by;
    o.tensor[0] = (struct op_tensor){.name = put_name(p, name, ""), .ndim = 1, .shape = {count}};
    put(p, &o);
}

void program_experts_times(struct program *p, int slot, int route, const char *name)
{
    struct op o = put_op(&op_experts_times, slot, slot);

    o.in[1] = route;
    o.tensor[0] = (struct op_tensor){
        .name = put_name(p, name, ""), .ndim = 1, .shape = {put_width(p, route)}};
    put(p, &o);
}
