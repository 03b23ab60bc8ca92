/* SPDX-License-Identifier: Apache-2.0 */
/* op_bias - a vector added to each row, in place. */
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    if (o->in[0] != o->out || o->tensor[0].shape[0] != p->slot[o->out].width)
        return err_set(e, ERR_USE, "a bias of %llu for rows of %zu",
                       (unsigned long long)o->tensor[0].shape[0], p->slot[o->out].width);
    return 0;
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    for (size_t t = first; a->tensor[0] && t < first + count; t++)
        vec_add(a->out + t * a->width_out, a->tensor[0], a->width_out);
}

/* The rows themselves are handed on as they are. */
static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t n = b->a.width_out;

    for (size_t t = first; sum && t < first + count; t++)
        vec_add_scaled(sum, b->grad + t * n, n, 1);
}

static int back(const struct op_back *b, struct err *e)
{
    return b->grad_tensor[0] ? op_back_tiles(b, b->a.width_out, back_rows, e) : 0;
}

static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    const struct program_slot *s = &p->slot[o->out];
    const double n = o->tensor[0].optional ? 0
                                           : l->tokens * (double)(s->top * s->width) /
                                                 (double)(o->expert < 0 ? 1 : s->experts);

    c->flops = n;
    c->bytes = 2 * sizeof(float) * n;
}

const struct op_kind op_bias = {.name = "bias",
                                .inputs = 1,
                                .tensors = 1,
                                .local = 1,
                                .check = check,
                                .each = each,
                                .back = back,
                                .cost = cost};
