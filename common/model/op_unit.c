/* SPDX-License-Identifier: Apache-2.0 */
/* op_unit - y = x / sqrt(mean x^2 + eps) of each row, or of each of its heads: a norm without
 * weights. */
#include <math.h>
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const size_t n = p->slot[o->in[0]].width, heads = o->unit.heads;

    if (heads == 0 || n % heads != 0 || p->slot[o->out].width != n)
        return err_set(e, ERR_USE, "%zu numbers are not %zu heads", n, heads);
    return 0;
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    const size_t heads = a->op->unit.heads, n = a->width_out / heads;

    for (size_t i = first * heads; i < (first + count) * heads; i++)
        vec_unit(a->in[0] + i * n, n, (float)a->op->unit.eps, a->out + i * n);
}

/* Of one row; dx may be g. */
static void row_back(const float *x, size_t n, double eps, const float *g, float *dx)
{
    double squares = 0, along = 0, r;

    for (size_t i = 0; i < n; i++) {
        squares += (double)x[i] * (double)x[i];
        along += (double)x[i] * (double)g[i];
    }
    r = 1 / sqrt(squares / (double)n + eps);
    along *= r * r / (double)n;
    for (size_t i = 0; i < n; i++) {
        const double d = r * ((double)g[i] - (double)x[i] * along);

        dx[i] = (float)(dx == g ? d : (double)dx[i] + d);
    }
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t heads = b->a.op->unit.heads, n = b->a.width_out / heads;

    (void)sum;
    for (size_t i = first * heads; i < (first + count) * heads; i++)
        row_back(b->a.in[0] + i * n, n, b->a.op->unit.eps, b->grad + i * n, b->grad_in[0] + i * n);
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

const struct op_kind op_unit = {.name = "unit",
                                .inputs = 1,
                                .local = 1,
                                .check = check,
                                .each = each,
                                .back = back,
                                .keeps = 1u << 0,
                                .flops = 3,
                                .moved = 2};
