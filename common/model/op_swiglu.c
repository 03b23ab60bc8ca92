/* SPDX-License-Identifier: Apache-2.0 */
/* op_swiglu - gpt-oss's gate: gate and up stand by turns in a row; with gate clamped from above
 * and up on both sides, gate sigmoid(alpha gate) (up + 1). */
#include <math.h>
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const size_t n = p->slot[o->in[0]].width;

    if (n % 2 != 0 || p->slot[o->out].width != n / 2 || !(o->swiglu.limit > 0))
        return err_set(e, ERR_USE, "gates and ups by turns in rows of %zu, clamped at %g", n,
                       (double)o->swiglu.limit);
    return 0;
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    const float alpha = a->op->swiglu.alpha, limit = a->op->swiglu.limit;

    for (size_t t = first; t < first + count; t++) {
        const float *x = a->in[0] + t * a->width[0];
        float *y = a->out + t * a->width_out;

        for (size_t i = 0; i < a->width_out; i++) {
            const float gate = x[2 * i] > limit ? limit : x[2 * i],
                        most = x[2 * i + 1] > limit ? limit : x[2 * i + 1],
                        up = most < -limit ? -limit : most;

            y[i] = (up + 1.0f) * gate * vec_sigmoid(alpha * gate);
        }
    }
}

/* Where a number is clamped it has no slope. */
static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const double alpha = (double)b->a.op->swiglu.alpha, limit = (double)b->a.op->swiglu.limit;
    const size_t n = b->a.width_out;

    (void)sum;
    for (size_t i = first * n; i < (first + count) * n; i++) {
        const double x = (double)b->a.in[0][2 * i], y = (double)b->a.in[0][2 * i + 1],
                     g = (double)b->grad[i], gate = x > limit ? limit : x,
                     up = y > limit    ? limit
                          : y < -limit ? -limit
                                       : y,
                     s = 1 / (1 + exp(-alpha * gate));

        if (x <= limit)
            b->grad_in[0][2 * i] += (float)(g * (up + 1) * s * (1 + alpha * gate * (1 - s)));
        if (y <= limit && y >= -limit)
            b->grad_in[0][2 * i + 1] += (float)(g * gate * s);
    }
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

const struct op_kind op_swiglu = {.name = "swiglu",
                                  .inputs = 1,
                                  .local = 1,
                                  .check = check,
                                  .each = each,
                                  .back = back,
                                  .keeps = 1u << 0,
                                  .flops = 8,
                                  .moved = 3};
