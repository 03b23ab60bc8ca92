/* SPDX-License-Identifier: Apache-2.0 */
/* residual - see residual.h. */
#include "residual.h"

#include <stdlib.h>
#include "../base/mem.h"
#include "family.h"
#include "op.h"

/* Of a slot: the norm of the stream that its rows are (-1: of something else), and whether its
 * rows join the stream as they are. */
struct trace {
    int norm, joins;
};

static int is_norm(const struct op *o)
{
    return o->kind == &op_norm && o->norm.heads == 1;
}

static int refuse(const struct program *p, const struct op *o, const char *why, struct err *e)
{
    return o->kind->tensors
               ? err_set(e, ERR_USE, "'%s' (%s): %s", o->tensor[0].name, o->kind->name, why)
               : err_set(e, ERR_USE, "%s (%s): %s", p->prefix, o->kind->name, why);
}

/* What reads the stream, and where rows of its norms go. */
static int trace_down(const struct program *p, struct trace *t, struct err *e)
{
    for (size_t i = 0; i < p->nops; i++) {
        const struct op *o = &p->op[i];

        for (size_t k = 0; k < o->kind->inputs; k++) {
            const int from = o->in[k];

            if (from == PROGRAM_STREAM && o->kind != &op_norm && o->out != PROGRAM_STREAM)
                return refuse(p, o, "it reads the stream without a norm", e);
            if (from == PROGRAM_STREAM && is_norm(o) && o->norm.spec.kind != NORM_RMS)
                return refuse(p, o,
                              o->norm.spec.kind == NORM_MEAN
                                  ? "it takes off the mean, which a rotation does not keep"
                                  : "its weights count from 1",
                              e);
            if (from == PROGRAM_STREAM && is_norm(o))
                t[o->out].norm = (int)i;
            else if (from != PROGRAM_STREAM && t[from].norm >= 0 && o->kind == &op_gather && k == 0)
                t[o->out].norm = t[from].norm;
            else if (from != PROGRAM_STREAM && t[from].norm >= 0 && o->kind != &op_linear)
                return refuse(p, o, "it reads a norm of the stream, and is no linear", e);
        }
    }
    return 0;
}

/* What the stream is added up from. */
static int trace_up(const struct program *p, struct trace *t, struct err *e)
{
    for (size_t i = p->nops; i-- > 0;) {
        const struct op *o = &p->op[i];

        if (o->out == PROGRAM_STREAM && !o->adds && o->kind != &op_bias)
            return refuse(p, o, "it replaces the stream", e);
        if (!(o->out == PROGRAM_STREAM || t[o->out].joins) || o->kind == &op_linear ||
            o->kind == &op_bias)
            continue;
        if (o->kind != &op_scatter && o->kind != &op_add && o->kind != &op_share)
            return refuse(p, o, "it stands between a linear and the stream", e);
        t[o->in[0]].joins = 1;
    }
    return 0;
}

static enum residual_role role_of(const struct op *o, const struct trace *t)
{
    const int joins = o->out == PROGRAM_STREAM || t[o->out].joins;

    if (o->kind == &op_norm)
        return o->in[0] == PROGRAM_STREAM ? RESIDUAL_NORM : RESIDUAL_APART;
    if (o->kind == &op_linear)
        return joins ? RESIDUAL_WRITES : t[o->in[0]].norm >= 0 ? RESIDUAL_READS : RESIDUAL_APART;
    return joins ? RESIDUAL_JOINS : RESIDUAL_APART;
}

static int tell(const struct program *p, const struct trace *t,
                int (*each)(void *ctx, const struct residual_tensor *x, struct err *e), void *ctx,
                struct err *e)
{
    for (size_t i = 0; i < p->nops; i++) {
        const struct op *o = &p->op[i];
        struct residual_tensor x;

        if (!o->kind->tensors)
            continue;
        x = (struct residual_tensor){.name = o->tensor[0].name,
                                     .whole = o->tensor[0].whole,
                                     .optional = o->tensor[0].optional,
                                     .role = role_of(o, t)};
        if (x.role == RESIDUAL_WRITES && t[o->in[0]].norm >= 0)
            return refuse(p, o, "it reads the stream and joins it", e);
        if (x.role == RESIDUAL_READS)
            x.norm = p->op[t[o->in[0]].norm].tensor[0].name;
        if (each(ctx, &x, e) < 0)
            return -1;
    }
    return 0;
}

int residual_tensors(const struct config *c, size_t block,
                     int (*each)(void *ctx, const struct residual_tensor *t, struct err *e),
                     void *ctx, struct err *e)
{
    struct program p;
    struct trace *t = NULL;
    int rc = family_program(c, block, &p, e);

    if (rc == 0 && !(t = mem_array(p.nslots, sizeof *t, e)))
        rc = -1;
    for (size_t i = 0; t && i < p.nslots; i++)
        t[i].norm = -1;
    if (rc == 0)
        rc = trace_down(&p, t, e) < 0 || trace_up(&p, t, e) < 0 || tell(&p, t, each, ctx, e) < 0
                 ? -1
                 : 0;
    free(t);
    program_release(&p);
    return rc;
}
