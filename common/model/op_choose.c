/* SPDX-License-Identifier: Apache-2.0 */
/* op_choose - which experts a token goes to, as DeepSeek V3 has it: the sigmoid of each logit is
 * its weight; the `top` largest count once a correction is added, of the best groups only (a group
 * is as good as its two best together), of equal ones the earlier. The weights, without the
 * correction, perhaps normalized to sum 1, times a scale; 0 for those that the token does not go
 * to. */
#include <math.h>
#include <string.h>
#include "op.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const size_t n = o->route.experts, groups = o->route.groups, best = o->route.groups_top;

    if (n > OP_EXPERTS || o->route.top == 0 || p->slot[o->in[0]].width != n ||
        p->slot[o->in[0]].route >= 0)
        return err_set(e, ERR_USE, "the best %zu of %zu experts", o->route.top, n);
    if (groups == 0 || n % groups != 0 || best == 0 || best > groups ||
        o->route.top > n / groups * best)
        return err_set(e, ERR_USE, "the best %zu of %zu experts, of the best %zu of %zu groups",
                       o->route.top, n, best, groups);
    return 0;
}

static size_t largest(const float *x, size_t n)
{
    size_t best = 0;

    for (size_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

/* What is outside of the best groups becomes -infinity. */
static void keep_groups(float *choice, const struct op *o)
{
    const size_t n = o->route.experts / o->route.groups;
    float good[OP_EXPERTS];
    unsigned char kept[OP_EXPERTS] = {0};

    for (size_t g = 0; g < o->route.groups; g++) {
        const float *x = choice + g * n;
        const size_t best = largest(x, n);
        float second = -INFINITY;

        for (size_t i = 0; i < n; i++)
            second = i != best && x[i] > second ? x[i] : second;
        good[g] = n > 1 ? x[best] + second : x[best];
    }
    for (size_t k = 0; k < o->route.groups_top; k++) {
        const size_t g = largest(good, o->route.groups);

        kept[g] = 1;
        good[g] = -INFINITY;
    }
    for (size_t i = 0; i < o->route.experts; i++)
        if (!kept[i / n])
            choice[i] = -INFINITY;
}

static void choose_row(const float *logit, const float *correction, const struct op *o, float *w)
{
    const size_t n = o->route.experts;
    float choice[OP_EXPERTS], sum = 0;

    for (size_t i = 0; i < n; i++) {
        choice[i] = 1.0f / (1.0f + expf(-logit[i])) + correction[i];
        w[i] = 0;
    }
    if (o->route.groups_top < o->route.groups)
        keep_groups(choice, o);
    for (size_t k = 0; k < o->route.top; k++) {
        const size_t best = largest(choice, n);

        choice[best] = -INFINITY;
        /* never 0: that says "does not go there" */
        w[best] = fmaxf(1.0f / (1.0f + expf(-logit[best])), 1e-30f);
        sum += w[best];
    }
    for (size_t i = 0; i < n; i++)
        if (w[i] > 0)
            w[i] =
                fmaxf((o->route.normalize ? w[i] / (sum + 1e-20f) : w[i]) * o->route.scale, 1e-30f);
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    const size_t n = a->width_out;

    for (size_t t = first; t < first + count; t++)
        choose_row(a->in[0] + t * n, a->tensor[0], a->op, a->out + t * n);
}

/* The weight of one that is chosen: scale s, or scale s / sum of those chosen. */
static void back_row(const float *logit, const float *correction, const struct op *o,
                     const float *g, float *out)
{
    const size_t n = o->route.experts;
    const double scale = (double)o->route.scale;
    float w[OP_EXPERTS];
    double sum = 1e-20, along = 0;

    choose_row(logit, correction, o, w);
    for (size_t i = 0; i < n; i++)
        if (w[i] > 0) {
            const double s = 1 / (1 + exp(-(double)logit[i]));

            sum += s;
            along += s * (double)g[i];
        }
    for (size_t i = 0; i < n; i++)
        if (w[i] > 0) {
            const double s = 1 / (1 + exp(-(double)logit[i])), gi = (double)g[i];

            out[i] +=
                (float)(scale * s * (1 - s) * (o->route.normalize ? (gi - along / sum) / sum : gi));
        }
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t n = b->a.width_out;

    (void)sum;
    for (size_t t = first; t < first + count; t++)
        back_row(b->a.in[0] + t * n, b->a.tensor[0], b->a.op, b->grad + t * n,
                 b->grad_in[0] + t * n);
}

/* Which experts are chosen does not change: the correction has no gradient. */
static int back(const struct op_back *b, struct err *e)
{
    if (b->grad_tensor[0])
        memset(b->grad_tensor[0], 0, b->a.width_out * sizeof(float));
    return op_back_tiles(b, 0, back_rows, e);
}

static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    const double n = l->tokens * (double)p->slot[o->out].width;

    c->flops = (6 + (double)o->route.top) * n;
    c->bytes = 2 * sizeof(float) * n;
}

const struct op_kind op_choose = {.name = "choose",
                                  .inputs = 1,
                                  .tensors = 1,
                                  .local = 1,
                                  .routes = 1,
                                  .check = check,
                                  .each = each,
                                  .back = back,
                                  .keeps = 1u << 0,
                                  .cost = cost};
