/* SPDX-License-Identifier: Apache-2.0 */
/* op_share - each row times the sigmoid of a number of its own, in place: what a shared expert
 * gives to a token. */
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    if (o->in[0] != o->out || p->slot[o->in[1]].width != 1)
        return err_set(e, ERR_USE, "%zu numbers for each row, not one", p->slot[o->in[1]].width);
    return 0;
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    for (size_t t = first; t < first + count; t++)
        vec_scale(a->out + t * a->width_out, a->width_out, vec_sigmoid(a->in[1][t]));
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t n = b->a.width_out;

    (void)sum;
    for (size_t t = first; t < first + count; t++) {
        const float s = vec_sigmoid(b->a.in[1][t]), *x = b->a.in[0] + t * n;
        double dot = 0;

        for (size_t k = 0; k < n; k++)
            dot += (double)b->grad[t * n + k] * (double)x[k];
        b->grad_in[1][t] += (float)dot * s * (1 - s);
        vec_scale(b->grad + t * n, n, s);
    }
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

const struct op_kind op_share = {.name = "share",
                                 .inputs = 2,
                                 .local = 1,
                                 .check = check,
                                 .each = each,
                                 .back = back,
                                 .keeps = 1u << 0 | 1u << 1,
                                 .flops = 1,
                                 .moved = 2};
