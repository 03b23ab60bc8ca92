/* SPDX-License-Identifier: Apache-2.0 */
/* program_build - see program_build.h. Every operation is checked as it comes. */
#include "program_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "op.h"
#include "program_put.h"

void program_init(struct program *p, const char *prefix, size_t width)
{
    memset(p, 0, sizeof *p);
    p->bad = !(p->prefix = mem_text(prefix, &p->err));
    if (program_slot(p, width, -1) == PROGRAM_STREAM)
        p->slot[PROGRAM_STREAM].written = 1;
}

int program_carry(struct program *p, size_t width)
{
    p->carry = program_slot(p, width, -1);
    if (p->carry > 0)
        p->slot[p->carry].written = 1;
    return p->carry;
}

/* ---- slots and operations ---- */

static int is_slot(const struct program *p, int slot)
{
    return slot >= 0 && (size_t)slot < p->nslots;
}

int program_slot(struct program *p, size_t width, int route)
{
    const struct op *by = NULL;

    for (size_t i = 0; i < p->nops && route >= 0; i++)
        if (p->op[i].kind->routes && p->op[i].out == route)
            by = &p->op[i];
    if (p->bad)
        return -1;
    if (width == 0 || (route >= 0 && !by)) {
        p->bad = 1;
        return err_set(&p->err, ERR_USE, "%sslot %zu: %s", p->prefix, p->nslots,
                       width ? "its route is none" : "it has no width");
    }
    if (mem_grow((void **)&p->slot, &p->slot_cap, p->nslots + 1, sizeof *p->slot, &p->err) < 0) {
        p->bad = 1;
        return -1;
    }
    p->slot[p->nslots] = (struct program_slot){.width = width, .route = route, .top = 1};
    if (by) {
        p->slot[p->nslots].top = by->route.top;
        p->slot[p->nslots].experts = by->route.experts;
    }
    return (int)p->nslots++;
}

static int is_written(const struct program_slot *s)
{
    return s->written > 0 && s->written >= s->experts;
}

/* An operation of one expert sees no others. */
static int can_read(const struct program *p, const struct op *o, int slot)
{
    const struct program_slot *s = &p->slot[slot];

    return is_written(s) || (o->expert >= 0 && s->written > (size_t)o->expert);
}

static int slots_check(const struct program *p, const struct op *o, struct err *e)
{
    for (size_t i = 0; i < o->kind->inputs; i++) {
        if (!is_slot(p, o->in[i]))
            return err_set(e, ERR_USE, "it reads slot %d, which is none", o->in[i]);
        if (!can_read(p, o, o->in[i]))
            return err_set(e, ERR_USE, "it reads slot %d, into which nothing was written",
                           o->in[i]);
    }
    if (!is_slot(p, o->out))
        return err_set(e, ERR_USE, "it writes slot %d, which is none", o->out);
    for (size_t i = 0; i < o->kind->inputs && o->kind->local; i++)
        if (p->slot[o->in[i]].route != p->slot[o->out].route)
            return err_set(e, ERR_USE, "the rows of slots %d and %d are not the same", o->in[i],
                           o->out);
    if (o->adds && !is_written(&p->slot[o->out]))
        return err_set(e, ERR_USE, "it adds to slot %d, into which nothing was written", o->out);
    for (size_t i = 0; i < o->kind->tensors; i++)
        if (!o->tensor[i].name)
            return err_set(e, ERR_USE, "it has no tensor");
    return o->kind->check(p, o, e);
}

static void note_written(struct program *p, const struct op *o)
{
    struct program_slot *s = &p->slot[o->out];

    if (o->expert < 0)
        s->written = s->experts ? s->experts : 1;
    else if (s->written == (size_t)o->expert)
        s->written++;
}

/* Takes over the tensors of o. */
int put(struct program *p, struct op *o)
{
    struct err why = {0};

    if (!p->bad && (slots_check(p, o, &why) < 0 ||
                    mem_grow((void **)&p->op, &p->op_cap, p->nops + 1, sizeof *p->op, &why) < 0)) {
        p->bad = 1;
        err_set(&p->err, why.kind, "%soperation %zu (%s%s%s): %s", p->prefix, p->nops,
                o->kind->name, o->kind->tensors && o->tensor[0].name ? " " : "",
                o->kind->tensors && o->tensor[0].name ? o->tensor[0].name : "", why.text);
    }
    if (p->bad) {
        for (size_t i = 0; i < OP_TENSORS; i++) {
            free(o->tensor[i].name);
            free(o->tensor[i].whole);
        }
        return -1;
    }
    note_written(p, o);
    p->op[p->nops++] = *o;
    return o->out;
}

struct op put_op(const struct op_kind *kind, int in, int out)
{
    return (struct op){.kind = kind, .in = {in, -1, -1}, .out = out, .expert = -1, .site = -1};
}

char *put_name(struct program *p, const char *name, const char *suffix)
{
    char *full = name && !p->bad ? mem_printf(&p->err, "%s%s%s", p->prefix, name, suffix) : NULL;

    p->bad |= name && !full;
    return full;
}

size_t put_width(const struct program *p, int slot)
{
    return is_slot(p, slot) ? p->slot[slot].width : 1;
}

int put_like(struct program *p, int slot, size_t width)
{
    return program_slot(p, width, is_slot(p, slot) ? p->slot[slot].route : -1);
}

/* ---- what families say ---- */

static int put_norm(struct program *p, int in, int out, size_t heads, const char *name,
                    const struct norm_spec *spec)
{
    struct op o = put_op(&op_norm, in, out);

    o.norm.heads = heads;
    o.norm.spec = *spec;
    o.tensor[0] = (struct op_tensor){.name = put_name(p, name, ".weight"),
                                     .ndim = 1,
                                     .shape = {heads ? put_width(p, in) / heads : 0}};
    return put(p, &o);
}

int program_norm(struct program *p, int in, const char *name, const struct norm_spec *spec)
{
    return put_norm(p, in, put_like(p, in, put_width(p, in)), 1, name, spec);
}

void program_norm_heads(struct program *p, int slot, size_t heads, const char *name,
                        const struct norm_spec *spec)
{
    put_norm(p, slot, slot, heads, name, spec);
}

int program_cut_heads(struct program *p, int in, size_t heads, size_t first, size_t width)
{
    struct op o = put_op(&op_cut, in, put_like(p, in, heads * width));

    o.cut.heads = heads;
    o.cut.first = first;
    return put(p, &o);
}

int program_cut(struct program *p, int in, size_t first, size_t width)
{
    return program_cut_heads(p, in, 1, first, width);
}

void program_lay(struct program *p, int from, int to, size_t first)
{
    struct op o = put_op(&op_lay, from, to);

    o.in[1] = to;
    o.cut.first = first;
    put(p, &o);
}

int program_concat(struct program *p, int a, int b, size_t heads, int shared)
{
    struct op o = put_op(&op_concat, a,
                         put_like(p, a, put_width(p, a) + (shared ? heads : 1) * put_width(p, b)));

    o.in[1] = b;
    o.concat.heads = heads;
    return put(p, &o);
}

/* "expert.%zu.up" */
static void site_name(char *out, const char *pattern, int expert)
{
    const char *at = strstr(pattern, "%zu");

    if (at)
        snprintf(out, PROGRAM_NAME, "%.*s%d%s", (int)(at - pattern), pattern, expert, at + 3);
    else
        snprintf(out, PROGRAM_NAME, "%s", pattern);
}

static int put_linear(struct program *p, int in, int out, int adds, int expert,
                      const struct program_linear *l)
{
    struct op o = put_op(&op_linear, in, out);

    o.adds = adds;
    o.expert = expert;
    o.linear.site = l->site;
    o.linear.fused = l->fused;
    if (l->site)
        site_name(o.linear.name, l->site, expert);
    o.tensor[0] = (struct op_tensor){.name = put_name(p, l->name, ".weight"),
                                     .ndim = 2,
                                     .shape = {l->rows, put_width(p, in)},
                                     .whole = put_name(p, l->whole, ""),
                                     .first = l->first,
                                     .total = l->total,
                                     .stacked = l->stacked,
                                     .turned = l->turned,
                                     .which = l->which};
    return put(p, &o);
}

int program_linear(struct program *p, int in, const struct program_linear *l)
{
    return put_linear(p, in, put_like(p, in, l->rows), 0, -1, l);
}

void program_linear_add(struct program *p, int in, int to, const struct program_linear *l)
{
    put_linear(p, in, to, 1, -1, l);
}

void program_linear_expert(struct program *p, int in, int to, size_t expert,
                           const struct program_linear *l)
{
    put_linear(p, in, to, 0, (int)expert, l);
}

static void put_bias(struct program *p, int slot, int expert, int has, const char *whole)
{
    struct op o = put_op(&op_bias, slot, slot), *by = NULL;

    for (size_t i = 0; i < p->nops && !p->bad; i++)
        if (p->op[i].kind == &op_linear && p->op[i].out == slot && p->op[i].expert == expert)
            by = &p->op[i];
    if (by) {
        const char *name = by->tensor[0].name;

        by->linear.has_bias = has;
        o.expert = by->expert;
        o.tensor[0].name =
            mem_printf(&p->err, "%.*s.bias", (int)(strlen(name) - strlen(".weight")), name);
        o.tensor[0].optional = !has;
        o.tensor[0].ndim = 1;
        o.tensor[0].shape[0] = by->tensor[0].shape[0];
        o.tensor[0].whole = put_name(p, whole, "");
        o.tensor[0].first = by->tensor[0].first;
        o.tensor[0].total = by->tensor[0].total;
        o.tensor[0].stacked = by->tensor[0].stacked;
        o.tensor[0].which = by->tensor[0].which;
    }
    put(p, &o);
}

void program_bias(struct program *p, int slot, int has)
{
    put_bias(p, slot, -1, has, NULL);
}

void program_bias_expert(struct program *p, int slot, size_t expert, const char *whole)
{
    put_bias(p, slot, (int)expert, 1, whole);
}

void program_shift(struct program *p, int slot, const char *name)
{
    struct op o = put_op(&op_bias, slot, slot);

    o.tensor[0] = (struct op_tensor){
        .name = put_name(p, name, ".bias"), .ndim = 1, .shape = {put_width(p, slot)}};
    put(p, &o);
}

void program_activate(struct program *p, int slot, enum activation a)
{
    struct op o = put_op(&op_activate, slot, slot);

    o.gate.activation = a;
    put(p, &o);
}

void program_rope(struct program *p, int slot, size_t heads, const struct rope_spec *spec)
{
    program_rope_from(p, slot, heads, 0, spec);
}

void program_rope_from(struct program *p, int slot, size_t heads, size_t first,
                       const struct rope_spec *spec)
{
    struct op o = put_op(&op_rope, slot, slot);

    o.rope.heads = heads;
    o.rope.first = first;
    o.rope.spec = *spec;
    put(p, &o);
}

void program_temper(struct program *p, int slot, double rate, size_t original)
{
    struct op o = put_op(&op_temper, slot, slot);

    o.temper.rate = (float)rate;
    o.temper.original = original;
    put(p, &o);
}

static int put_attention(struct program *p, const struct op_kind *kind, int q, int k, int v,
                         const struct attention_shape *s, const char *sinks)
{
    struct op o = put_op(kind, q, put_like(p, q, s->heads * attention_value_dim(s)));

    if (sinks)
        o.tensor[0] =
            (struct op_tensor){.name = put_name(p, sinks, ""), .ndim = 1, .shape = {s->heads}};
    o.in[1] = k;
    o.in[2] = v;
    o.attention.shape = *s;
    o.attention.number = p->keepers++;
    return put(p, &o);
}

int program_attention(struct program *p, int q, int k, int v, const struct attention_shape *s)
{
    return put_attention(p, &op_attention, q, k, v, s, NULL);
}

int program_attention_sinks(struct program *p, int q, int k, int v, const struct attention_shape *s,
                            const char *sinks)
{
    return put_attention(p, &op_attention_sinks, q, k, v, s, sinks);
}

int program_swiglu(struct program *p, int both, double alpha, double limit)
{
    struct op o = put_op(&op_swiglu, both, put_like(p, both, (put_width(p, both) + 1) / 2));

    o.swiglu.alpha = (float)alpha;
    o.swiglu.limit = (float)limit;
    return put(p, &o);
}

void program_gate(struct program *p, int gate, int up, enum activation a)
{
    struct op o = put_op(&op_gate, gate, gate);

    o.in[1] = up;
    o.gate.activation = a;
    put(p, &o);
}

void program_add(struct program *p, int to, int from, double scale)
{
    struct op o = put_op(&op_add, from, to);

    o.adds = 1;
    o.add.scale = (float)scale;
    put(p, &o);
}

void program_deepstack(struct program *p, size_t level)
{
    struct op o = put_op(&op_deepstack, PROGRAM_STREAM, PROGRAM_STREAM);

    o.adds = 1;
    o.deepstack.level = level;
    put(p, &o);
}

void program_share(struct program *p, int slot, int number)
{
    struct op o = put_op(&op_share, slot, slot);

    o.in[1] = number;
    put(p, &o);
}

int program_route(struct program *p, int logits, size_t top, int normalize)
{
    struct op o = put_op(&op_route, logits, put_like(p, logits, put_width(p, logits)));

    o.route.experts = put_width(p, logits);
    o.route.top = top;
    o.route.normalize = normalize;
    return put(p, &o);
}

int program_choose(struct program *p, int logits, const struct program_choice *c)
{
    const size_t experts = put_width(p, logits);
    struct op o = put_op(&op_choose, logits, put_like(p, logits, experts));

    o.route.experts = experts;
    o.route.top = c->top;
    o.route.normalize = c->normalize;
    o.route.groups = c->groups;
    o.route.groups_top = c->groups_top;
    o.route.scale = (float)c->scale;
    o.tensor[0] =
        (struct op_tensor){.name = put_name(p, c->correction, ""), .ndim = 1, .shape = {experts}};
    return put(p, &o);
}

int program_gather(struct program *p, int in, int route)
{
    struct op o = put_op(&op_gather, in, program_slot(p, put_width(p, in), route));

    o.in[1] = route;
    return put(p, &o);
}

int program_scatter_new(struct program *p, int in, int route)
{
    struct op o = put_op(&op_scatter, in, program_slot(p, put_width(p, in), -1));

    o.in[1] = route;
    return put(p, &o);
}

void program_scatter(struct program *p, int in, int route, int to)
{
    struct op o = put_op(&op_scatter, in, to);

    o.in[1] = route;
    o.adds = 1;
    put(p, &o);
}
