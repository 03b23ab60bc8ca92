/* SPDX-License-Identifier: Apache-2.0 */
/* op_norm - y = w x / sqrt(mean x^2 + eps), of each row or of each of its heads, the weights
 * perhaps 1 + w, or with the mean taken off (norm_kind in config.h). The square root and the mean
 * in f32, as the reference does it. */
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

void norm_row(const struct norm_spec *s, const float *w, size_t n, const float *x, float *y)
{
    if (s->kind == NORM_MEAN)
        vec_layernorm(x, w, n, (float)s->eps, y);
    else
        vec_rmsnorm(x, w, n, (float)s->eps, s->kind == NORM_RMS_ONE ? 1.0f : 0.0f, y);
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    const size_t heads = a->op->norm.heads, width = a->width[0], n = width / heads;

    for (size_t t = first; t < first + count; t++)
        for (size_t h = 0; h < heads; h++)
            norm_row(&a->op->norm.spec, a->tensor[0], n, a->in[0] + t * width + h * n,
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
