/* SPDX-License-Identifier: Apache-2.0 */
/* op_route - which experts a token goes to: softmax over all of them, the `top` largest (of equal
 * ones the earlier), perhaps normalized to sum 1. The output has a weight for each expert, 0 for
 * those that the token does not go to. Leaves out: sigmoid routers, corrections, groups of
 * experts (op_choose.c). */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    if (o->route.experts > OP_EXPERTS || o->route.top == 0 || o->route.top > o->route.experts ||
        p->slot[o->in[0]].width != o->route.experts || p->slot[o->in[0]].route >= 0)
        return err_set(e, ERR_USE, "the best %zu of %zu experts", o->route.top, o->route.experts);
    return 0;
}

static void route_row(const float *logit, size_t experts, size_t top, int normalize, float *w)
{
    float largest = vec_max(logit, experts), all = 0, chosen = 0;

    memset(w, 0, experts * sizeof *w);
    for (size_t i = 0; i < experts; i++)
        all += expf(logit[i] - largest);
    for (size_t k = 0; k < top; k++) {
        size_t best = SIZE_MAX;

        for (size_t i = 0; i < experts; i++)
            if (w[i] == 0 && (best == SIZE_MAX || logit[i] > logit[best]))
                best = i;
        /* never 0: that says "does not go there" */
        w[best] = fmaxf(expf(logit[best] - largest) / all, 1e-30f);
        chosen += w[best];
    }
    for (size_t i = 0; normalize && i < experts; i++)
        w[i] /= chosen;
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    const size_t n = a->width_out;

    for (size_t t = first; t < first + count; t++)
        route_row(a->in[0] + t * n, n, a->op->route.top, a->op->route.normalize, a->out + t * n);
}

/* p: the softmax of the logits; w = p, or p over the sum of those chosen, whose gradients alone
 * are there: what one of them gains the others lose. */
static void back_row(const float *logit, const struct op *o, const float *g, float *out)
{
    const size_t n = o->route.experts;
    float w[OP_EXPERTS];
    double p[OP_EXPERTS], all = 0, along = 0;
    const float largest = vec_max(logit, n);

    route_row(logit, n, o->route.top, o->route.normalize, w);
    for (size_t i = 0; i < n; i++) {
        p[i] = !o->route.normalize || w[i] > 0 ? exp((double)logit[i] - (double)largest) : 0;
        all += p[i];
    }
    for (size_t i = 0; i < n; i++) {
        p[i] /= all;
        along += w[i] > 0 ? p[i] * (double)g[i] : 0;
    }
    for (size_t i = 0; i < n; i++)
        out[i] += (float)(p[i] * ((w[i] > 0 ? (double)g[i] : 0) - along));
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t n = b->a.width_out;

    (void)sum;
    for (size_t t = first; t < first + count; t++)
        back_row(b->a.in[0] + t * n, b->a.op, b->grad + t * n, b->grad_in[0] + t * n);
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    const double n = l->tokens * (double)p->slot[o->out].width;

    c->flops = (2 + (double)o->route.top) * n;
    c->bytes = 2 * sizeof(float) * n;
}

const struct op_kind op_route = {.name = "route",
                                 .inputs = 1,
                                 .local = 1,
                                 .routes = 1,
                                 .check = check,
                                 .each = each,
                                 .back = back,
                                 .keeps = 1u << 0,
                                 .cost = cost};

int op_groups_make(struct op_groups *g, const float *route, size_t T, size_t experts, size_t top,
                   struct err *e)
{
    size_t n = 0;

    *g = (struct op_groups){.experts = experts, .count = T * top};
    g->first = mem_array(experts + 1, sizeof *g->first, e);
    g->token = mem_array(T * top, sizeof *g->token, e);
    g->weight = mem_array(T * top, sizeof *g->weight, e);
    if (!g->first || !g->token || !g->weight)
        return -1;
    for (size_t i = 0; i < experts; i++) {
        g->first[i] = n;
        for (size_t t = 0; t < T; t++) {
            const float w = route[t * experts + i];

            if (!(w > 0) || n == g->count)
                continue;
            g->token[n] = t;
            g->weight[n++] = w;
        }
    }
    g->first[experts] = n;
    return n == g->count ? 0 : err_set(e, ERR_DATA, "the router's numbers are not finite");
}

void op_groups_release(struct op_groups *g)
{
    free(g->first);
    free(g->token);
    free(g->weight);
    *g = (struct op_groups){0};
}
