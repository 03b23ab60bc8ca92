/* SPDX-License-Identifier: Apache-2.0 */
/* op_decay - how much of its state a head of a delta rule forgets at a row, as a logarithm:
 * -exp(A) softplus(x), in place. */
#include <math.h>
#include "op.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    if (o->in[0] != o->out || o->tensor[0].shape[0] != p->slot[o->out].width)
        return err_set(e, ERR_USE, "%llu rates for rows of %zu",
                       (unsigned long long)o->tensor[0].shape[0], p->slot[o->out].width);
    return 0;
}

/* As the reference has it: a line from 20 on. */
static float softplus(float x)
{
    return x > 20 ? x : log1pf(expf(x));
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    for (size_t t = first; t < first + count; t++)
        for (size_t i = 0; i < a->width_out; i++) {
            float *x = a->out + t * a->width_out + i;

            *x = -expf(a->tensor[0][i]) * softplus(*x);
        }
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t n = b->a.width_out;

    for (size_t t = first; t < first + count; t++)
        for (size_t i = 0; i < n; i++) {
            const float x = b->a.in[0][t * n + i];
            const double rate = exp((double)b->a.tensor[0][i]), g = (double)b->grad[t * n + i];

            if (sum)
                sum[i] -= g * rate * (double)softplus(x);
            b->grad[t * n + i] = (float)(-g * rate / (1 + exp(-(double)x)));
        }
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, b->a.width_out, back_rows, e);
}

const struct op_kind op_decay = {.name = "decay",
                                 .inputs = 1,
                                 .tensors = 1,
                                 .local = 1,
                                 .check = check,
                                 .each = each,
                                 .back = back,
                                 .keeps = 1u << 0,
                                 .flops = 8,
                                 .moved = 2};
