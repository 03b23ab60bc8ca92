/* SPDX-License-Identifier: Apache-2.0 */
/* op_norm - y = w x / sqrt(mean x^2 + eps), of each row or of each of its heads. The square root
 * and the mean in f32, as the reference does it. Leaves out: 1 + w, norms with a mean. */
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const size_t n = p->slot[o->in[0]].width, heads = o->norm.heads;

    if (heads == 0 || n % heads != 0)
        return err_set(e, ERR_USE, "%zu numbers are not %zu heads", n, heads);
    if (p->slot[o->out].width != n)
        return err_set(e, ERR_USE, "rows of %zu become rows of %zu", n, p->slot[o->out].width);
    return 0;
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    const size_t heads = a->op->norm.heads, width = a->width[0], n = width / heads;

    for (size_t t = first; t < first + count; t++)
        for (size_t h = 0; h < heads; h++)
            vec_rmsnorm(a->in[0] + t * width + h * n, a->tensor[0], n, a->op->norm.eps,
                        a->out + t * width + h * n);
}

static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    const double n = l->tokens * (double)(p->slot[o->out].top * p->slot[o->out].width);

    c->flops = 4 * n;
    c->bytes = 2 * sizeof(float) * n;
}

const struct op_kind op_norm = {.name = "norm",
                                .inputs = 1,
                                .tensors = 1,
                                .local = 1,
                                .check = check,
                                .each = each,
                                .cost = cost};
