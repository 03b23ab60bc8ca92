/* SPDX-License-Identifier: Apache-2.0 */
/* sites - see sites.h. */
#include "sites.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../format/format.h"
#include "family.h"
#include "op.h"
#include "vision.h"

/* The tensor that the bias of a linear is cut from, or NULL. */
static const char *bias_of(const struct program *p, const struct op *o)
{
    const char *name = o->tensor[0].name;
    const size_t n = strlen(name) - strlen("weight");

    for (const struct op *b = o; b < p->op + p->nops; b++)
        if (b->kind == &op_bias && b->tensor[0].whole && strncmp(b->tensor[0].name, name, n) == 0 &&
            strcmp(b->tensor[0].name + n, "bias") == 0)
            return b->tensor[0].whole;
    return NULL;
}

static int linear_fill(struct site_linear *l, const struct program *p, const struct op *o,
                       struct err *e)
{
    const char *bias = bias_of(p, o);
    const struct op_tensor *t = &o->tensor[0];

    l->rows = (size_t)t->shape[0];
    l->has_bias = o->linear.has_bias;
    l->first = t->first;
    l->which = t->which;
    l->total = t->total;
    l->turned = t->turned;
    if (bias && !(l->bias = mem_text(bias, e)))
        return -1;
    if (t->whole && !(l->whole = mem_text(t->whole, e)))
        return -1;
    l->name = mem_printf(e, "%.*s", (int)(strlen(t->name) - strlen(".weight")), t->name);
    return l->name ? 0 : -1;
}

static int site_fill(struct sites *s, const struct program *p, size_t i, size_t block,
                     struct err *e)
{
    const struct program_site *from = &p->site[i];
    struct site *x = &s->site[s->count];

    *x = (struct site){.order = s->count,
                       .block = block,
                       .stop = from->stop,
                       .fused = from->fused,
                       .inputs = from->inputs,
                       .expert = from->expert,
                       .share = 1,
                       .count = from->count};
    if (from->expert >= 0)
        x->share = (double)p->slot[from->slot].top / (double)p->slot[from->slot].experts;
    snprintf(x->name, sizeof x->name, "%s", from->name);
    if (!(x->linear = mem_array(x->count, sizeof *x->linear, e)))
        return -1;
    s->count++;
    for (size_t k = 0; k < x->count; k++)
        if (linear_fill(&x->linear[k], p, program_linear_of(p, i, k), e) < 0)
            return -1;
    s->linears += x->count;
    return 0;
}

/* p: of the block. */
static int block_add(struct sites *s, size_t *cap, struct program *p, size_t block, struct err *e)
{
    int rc = mem_grow((void **)&s->site, cap, s->count + p->nsites, sizeof *s->site, e);

    s->first[block] = s->count;
    for (size_t i = 0; rc == 0 && i < p->nsites; i++)
        rc = site_fill(s, p, i, block, e);
    s->end[block] = s->count;
    return rc;
}

int sites_make(struct sites *s, const struct config *c, struct err *e)
{
    size_t cap = 0;
    int rc = 0;

    memset(s, 0, sizeof *s);
    s->tower = c->vision && c->vision->quantized ? c->vision->run : 0;
    s->blocks = c->layers + s->tower;
    if (!(s->first = mem_array(2 * s->blocks, sizeof *s->first, e)))
        return -1;
    s->end = s->first + s->blocks;
    for (size_t k = 0; k < s->blocks && rc == 0; k++) {
        const size_t b = sites_block(s, k);
        struct program p;

        rc = b < c->layers ? family_program(c, b, &p, e)
                           : vision_program(c->vision, b - c->layers, &p, e);
        if (rc == 0)
            rc = block_add(s, &cap, &p, b, e);
        program_release(&p);
    }
    return rc;
}

int site_is_of_tower(const char *name)
{
    return strncmp(name, "vision.", sizeof "vision." - 1) == 0;
}

size_t sites_block(const struct sites *s, size_t k)
{
    return k < s->tower ? s->blocks - s->tower + k : k - s->tower;
}

void sites_release(struct sites *s)
{
    for (size_t i = 0; i < s->count; i++) {
        for (size_t k = 0; k < s->site[i].count; k++) {
            free(s->site[i].linear[k].name);
            free(s->site[i].linear[k].whole);
            free(s->site[i].linear[k].bias);
        }
        free(s->site[i].linear);
    }
    free(s->site);
    free(s->first);
    memset(s, 0, sizeof *s);
}

const struct site *sites_find(const struct sites *s, size_t block, const char *name)
{
    if (block >= s->blocks)
        return NULL;
    for (size_t i = s->first[block]; i < s->end[block]; i++)
        if (strcmp(s->site[i].name, name) == 0)
            return &s->site[i];
    return NULL;
}

size_t site_experts(const struct site *s)
{
    return s->expert < 0 ? 0 : s->block + 1;
}

int sites_source(const struct st_set *set, const struct site_linear *l, struct st_entry *x,
                 struct err *e)
{
    const struct st_entry *from;
    char name[TENSOR_NAME + 8];

    snprintf(name, sizeof name, "%s.weight", l->name);
    if ((from = st_find(set, name)) && format_is_plain(set, l->name)) {
        *x = *from;
        return 1;
    }
    if (!l->whole || !(from = st_find(set, l->whole)))
        return 0;
    if ((l->turned ? st_turn(set, from, l->which, x, e)
                   : st_cut(set, from, l->which * l->total + l->first, l->rows, x, e)) < 0)
        return -1;
    snprintf(x->name, sizeof x->name, "%s.weight", l->name);
    return 1;
}

int sites_bias(const struct st_set *set, const struct site_linear *l, struct st_entry *x,
               struct err *e)
{
    const struct st_entry *from = l->bias ? st_find(set, l->bias) : NULL;

    if (!from)
        return 0;
    if (st_cut_vector(set, from, l->which * l->total + l->first, l->rows, x, e) < 0)
        return -1;
    snprintf(x->name, sizeof x->name, "%s.bias", l->name);
    return 1;
}
