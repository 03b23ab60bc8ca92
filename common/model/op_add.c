/* SPDX-License-Identifier: Apache-2.0 */
/* op_add - to += scale from: a sublayer whose result is normed, or multiplied by a number, before
 * it joins the stream. */
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    if (o->in[0] == o->out || p->slot[o->in[0]].width != p->slot[o->out].width)
        return err_set(e, ERR_USE, "rows of %zu are added to rows of %zu", p->slot[o->in[0]].width,
                       p->slot[o->out].width);
    return 0;
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    for (size_t t = first; t < first + count; t++)
        vec_add_times(a->out + t * a->width_out, a->in[0] + t * a->width_out, a->width_out,
                      a->op->add.scale);
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t n = b->a.width_out;

    (void)sum;
    for (size_t t = first; t < first + count; t++)
        vec_add_times(b->grad_in[0] + t * n, b->grad + t * n, n, b->a.op->add.scale);
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

const struct op_kind op_add = {.name = "add",
                               .inputs = 1,
                               .local = 1,
                               .check = check,
                               .each = each,
                               .back = back,
                               .flops = 1,
                               .moved = 3};
