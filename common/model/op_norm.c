/* SPDX-License-Identifier: Apache-2.0 */
/* op_norm - y = w x / sqrt(mean x^2 + eps), of each row or of each of its heads, the weights
 * perhaps 1 + w, or with the mean taken off (norm_kind in config.h). The square root and the mean
 * in f32, as the reference does it. */
#include <math.h>
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

void norm_row_back(const struct norm_spec *s, const float *w, size_t n, const float *x,
                   const float *g, float *dx, double *dw)
{
    const double one = s->kind == NORM_RMS_ONE ? 1.0 : 0.0, N = (double)n;
    double mean = 0, squares = 0, along = 0, all = 0, r;

    for (size_t i = 0; s->kind == NORM_MEAN && i < n; i++)
        mean += (double)x[i] / N;
    for (size_t i = 0; i < n; i++) {
        const double c = (double)x[i] - mean, gw = (double)g[i] * ((double)w[i] + one);

        squares += c * c;
        along += gw * c;
        all += gw;
    }
    r = 1 / sqrt(squares / N + s->eps);
    along *= r * r / N;
    all = s->kind == NORM_MEAN ? all / N : 0;
    for (size_t i = 0; i < n; i++) {
        const double c = (double)x[i] - mean, gi = (double)g[i];
        const double d = r * (gi * ((double)w[i] + one) - all - c * along);

        if (dw)
            dw[i] += gi * c * r;
        dx[i] = (float)(dx == g ? d : (double)dx[i] + d);
    }
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t heads = b->a.op->norm.heads, width = b->a.width[0], n = width / heads;

    for (size_t t = first; t < first + count; t++)
        for (size_t h = 0; h < heads; h++) {
            const size_t at = t * width + h * n;

            norm_row_back(&b->a.op->norm.spec, b->a.tensor[0], n, b->a.in[0] + at, b->grad + at,
                          b->grad_in[0] + at, sum);
        }
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, b->a.width[0] / b->a.op->norm.heads, back_rows, e);
}

const struct op_kind op_norm = {.name = "norm",
                                .inputs = 1,
                                .tensors = 1,
                                .local = 1,
                                .check = check,
                                .each = each,
                                .back = back,
                                .keeps = 1u << 0,
                                .flops = 4,
                                .moved = 2};
