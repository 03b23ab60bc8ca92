/* SPDX-License-Identifier: Apache-2.0 */
/* op_scatter - each token gets what its experts made, each times its weight: y += sum w x, or
 * y = sum w x. In the order of the experts, so that nothing depends on threads. */
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    if (p->slot[o->in[0]].route != o->in[1] || p->slot[o->out].route >= 0 ||
        p->slot[o->in[0]].width != p->slot[o->out].width)
        return err_set(e, ERR_USE, "slot %d does not hold rows for slot %d by its route", o->in[0],
                       o->out);
    return 0;
}

static int run(const struct op_args *a, struct err *e)
{
    const size_t n = a->width_out;

    (void)e;
    if (!a->op->adds)
        memset(a->out, 0, a->rows->T * n * sizeof *a->out);
    for (size_t i = 0; i < a->groups->count; i++) {
        const float *x = a->in[0] + i * n, w = a->groups->weight[i];
        float *y = a->out + a->groups->token[i] * n;

        for (size_t k = 0; k < n; k++)
            y[k] += w * x[k];
    }
    return 0;
}

struct scatter {
    const struct op_back *b;
    size_t *expert; /* [count] of each row */
};

/* A row and its weight belong to one token and one expert: no two rows meet. */
static int back_row(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct scatter *s = ctx;
    const struct op_back *b = s->b;
    const struct op_groups *g = b->a.groups;
    const size_t n = b->a.width_out;
    const float *dy = b->grad + g->token[i] * n, *x = b->a.in[0] + i * n;
    double dot = 0;

    (void)worker;
    (void)e;
    for (size_t k = 0; k < n; k++)
        dot += (double)dy[k] * (double)x[k];
    vec_add_times(b->grad_in[0] + i * n, dy, n, g->weight[i]);
    b->grad_in[1][g->token[i] * g->experts + s->expert[i]] += (float)dot;
    return 0;
}

static int back(const struct op_back *b, struct err *e)
{
    const struct op_groups *g = b->a.groups;
    struct scatter s = {.b = b, .expert = mem_array(g->count, sizeof *s.expert, e)};
    int rc;

    for (size_t x = 0; s.expert && x < g->experts; x++)
        for (size_t i = g->first[x]; i < g->first[x + 1]; i++)
            s.expert[i] = x;
    rc = s.expert ? par_for(b->a.par, g->count, back_row, &s, e) : -1;
    free(s.expert);
    return rc;
}

static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    const double n = l->tokens * (double)(p->slot[o->in[0]].top * p->slot[o->in[0]].width);

    c->flops = 2 * n;
    c->bytes = 3 * sizeof(float) * n;
}

const struct op_kind op_scatter = {.name = "scatter",
                                   .inputs = 2,
                                   .check = check,
                                   .run = run,
                                   .back = back,
                                   .keeps = 1u << 0,
                                   .cost = cost};
