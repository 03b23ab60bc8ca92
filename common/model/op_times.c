/* SPDX-License-Identifier: Apache-2.0 */
/* op_times - each number of a row times one of a vector, or all times the same, in place; and
 * times a constant. */
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const uint64_t n = o->tensor[0].shape[0];

    if (o->in[0] != o->out || (n != 1 && n != p->slot[o->out].width))
        return err_set(e, ERR_USE, "%llu factors for rows of %zu", (unsigned long long)n,
                       p->slot[o->out].width);
    return 0;
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    const float *w = a->tensor[0], by = a->op->times.by;
    const int same = a->op->tensor[0].shape[0] == 1;

    for (size_t t = first; t < first + count; t++) {
        float *x = a->out + t * a->width_out;

        for (size_t i = 0; !same && i < a->width_out; i++)
            x[i] *= w[i];
        vec_scale(x, a->width_out, same ? w[0] * by : by);
    }
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t n = b->a.width_out;
    const int same = b->a.op->tensor[0].shape[0] == 1;
    const float *w = b->a.tensor[0], by = b->a.op->times.by;

    for (size_t t = first; t < first + count; t++)
        for (size_t i = 0; i < n; i++) {
            float *g = b->grad + t * n + i;

            if (sum)
                sum[same ? 0 : i] += (double)*g * (double)b->a.in[0][t * n + i] * (double)by;
            *g *= w[same ? 0 : i] * by;
        }
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, (size_t)b->a.op->tensor[0].shape[0], back_rows, e);
}

const struct op_kind op_times = {.name = "times",
                                 .inputs = 1,
                                 .tensors = 1,
                                 .local = 1,
                                 .check = check,
                                 .each = each,
                                 .back = back,
                                 .keeps = 1u << 0,
                                 .flops = 2,
                                 .moved = 2};
