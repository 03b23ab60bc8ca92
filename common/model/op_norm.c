/* SPDX-License-Identifier: Apache-2.0 */
/* op_norm - y = w x / sqrt(mean x^2 + eps), of each row or of each of its heads, the weights
 * perhaps 1 + w, or with the mean taken off (norm_kind in config.h). The square root and the mean
 * in f32, as the reference does it. */
#include <math.h>
#include <string.h>
#include "../base/each_cpu.h"
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

/* ---- the way back: in f64, LANES numbers at a time; sums are put together in their order ---- */

enum { LANES = 8 };

struct row {
    const float *x, *g, *w;
    double one, mean;
};

struct sums {
    double squares[LANES], along[LANES], all[LANES];
};

EACH_INLINE void add_lane(const struct row *r, size_t i, size_t l, struct sums *s)
{
    const double c = (double)r->x[i] - r->mean, gw = (double)r->g[i] * ((double)r->w[i] + r->one);

    s->squares[l] += c * c;
    s->along[l] += gw * c;
    s->all[l] += gw;
}

EACH_BODY row_sums_body(const struct row *from, size_t n, struct sums *to)
{
    const struct row r = *from;
    struct sums s = {{0}, {0}, {0}};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        for (size_t l = 0; l < LANES; l++)
            add_lane(&r, i + l, l, &s);
    for (size_t l = 0; i + l < n; l++)
        add_lane(&r, i + l, l, &s);
    *to = s;
}

static void row_sums(const struct row *from, size_t n, struct sums *to);
EACH_CPU(row_sums, (const struct row *from, size_t n, struct sums *to), (from, n, to))

struct slope {
    double by, all, along, keep; /* keep: 1 adds to what stands there, 0 writes it */
};

EACH_INLINE float slope_lane(const struct row *r, const struct slope *s, size_t i, float before)
{
    const double c = (double)r->x[i] - r->mean, gw = (double)r->g[i] * ((double)r->w[i] + r->one);

    return (float)(s->keep * (double)before + s->by * (gw - s->all - c * s->along));
}

/* dx may be g: LANES of it are written when all of them are known. */
EACH_BODY row_slope_body(const struct row *from, const struct slope *by, size_t n, float *dx)
{
    const struct row r = *from;
    const struct slope s = *by;
    size_t i = 0;

    for (; i + LANES <= n; i += LANES) {
        float out[LANES];

        for (size_t l = 0; l < LANES; l++)
            out[l] = slope_lane(&r, &s, i + l, dx[i + l]);
        memcpy(dx + i, out, sizeof out);
    }
    for (; i < n; i++)
        dx[i] = slope_lane(&r, &s, i, dx[i]);
}

static void row_slope(const struct row *from, const struct slope *by, size_t n, float *dx);
EACH_CPU(row_slope, (const struct row *from, const struct slope *by, size_t n, float *dx),
         (from, by, n, dx))

EACH_BODY weights_slope_body(const struct row *from, double by, size_t n, double *restrict dw)
{
    const struct row r = *from;

    for (size_t i = 0; i < n; i++)
        dw[i] += (double)r.g[i] * ((double)r.x[i] - r.mean) * by;
}

static void weights_slope(const struct row *from, double by, size_t n, double *restrict dw);
EACH_CPU(weights_slope, (const struct row *from, double by, size_t n, double *restrict dw),
         (from, by, n, dw))

static double lanes_sum(const double lane[LANES])
{
    double sum = 0;

    for (size_t l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

void norm_row_back(const struct norm_spec *s, const float *w, size_t n, const float *x,
                   const float *g, float *dx, double *dw)
{
    const double N = (double)n;
    struct row row = {.x = x, .g = g, .w = w, .one = s->kind == NORM_RMS_ONE ? 1 : 0};
    struct slope by = {.keep = dx == g ? 0 : 1};
    struct sums sums;

    for (size_t i = 0; s->kind == NORM_MEAN && i < n; i++)
        row.mean += (double)x[i] / N;
    row_sums(&row, n, &sums);
    by.by = 1 / sqrt(lanes_sum(sums.squares) / N + s->eps);
    by.along = lanes_sum(sums.along) * by.by * by.by / N;
    by.all = s->kind == NORM_MEAN ? lanes_sum(sums.all) / N : 0;
    if (dw)
        weights_slope(&row, by.by, n, dw);
    row_slope(&row, &by, n, dx);
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
