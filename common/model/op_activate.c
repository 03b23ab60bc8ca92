/* SPDX-License-Identifier: Apache-2.0 */
/* op_activate - an activation of each number, in place: an MLP without a gate. */
#include <math.h>

#include "op.h"
#include "vec.h"

enum { STEP = 64 };

/* x = a(b x) c by the functions with a second factor. */
static void by_gate(void (*gate)(float *, const float *, size_t), float b, float c, float *x,
                    size_t n)
{
    float up[STEP];

    for (size_t i = 0; i < STEP; i++)
        up[i] = c;
    if (b != 1)
        vec_scale(x, n, b);
    for (size_t i = 0; i < n; i += STEP)
        gate(x + i, up, n - i < STEP ? n - i : STEP);
}

void activate_row(enum activation a, float *x, size_t n)
{
    const float quick = 1.702f;

    switch (a) {
    case ACTIVATION_SILU:
        by_gate(vec_silu_mul, 1, 1, x, n);
        break;
    case ACTIVATION_GELU_TANH:
        by_gate(vec_gelu_mul, 1, 1, x, n);
        break;
    case ACTIVATION_GELU_QUICK: /* x sigmoid(1.702 x) */
        by_gate(vec_silu_mul, quick, 1 / quick, x, n);
        break;
    default:
        for (size_t i = 0; i < n; i++)
            x[i] = 0.5f * x[i] * (1 + erff(x[i] * 0.70710678f));
    }
}

static int check(const struct program *p, const struct op *o, struct err *e)
{
    return o->in[0] == o->out
               ? 0
               : err_set(e, ERR_USE, "rows of %zu are not changed in place", p->slot[o->out].width);
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    activate_row(a->op->gate.activation, a->out + first * a->width_out, count * a->width_out);
}

/* The slope of the activation at x. */
static double slope(enum activation a, double x)
{
    const double quick = a == ACTIVATION_GELU_QUICK ? 1.702 : 1, s = 1 / (1 + exp(-quick * x)),
                 root = sqrt(2 / M_PI), t = tanh(root * (x + 0.044715 * x * x * x));

    switch (a) {
    case ACTIVATION_SILU:
    case ACTIVATION_GELU_QUICK:
        return s * (1 + quick * x * (1 - s));
    case ACTIVATION_GELU_TANH:
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root * (1 + 3 * 0.044715 * x * x);
    default:
        return 0.5 * (1 + erf(x / M_SQRT2)) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
    }
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t n = b->a.width_out;

    (void)sum;
    for (size_t i = first * n; i < (first + count) * n; i++)
        b->grad[i] *= (float)slope(b->a.op->gate.activation, (double)b->a.in[0][i]);
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

const struct op_kind op_activate = {.name = "activate",
                                    .inputs = 1,
                                    .local = 1,
                                    .check = check,
                                    .each = each,
                                    .back = back,
                                    .keeps = 1u << 0,
                                    .flops = 4,
                                    .moved = 2};
