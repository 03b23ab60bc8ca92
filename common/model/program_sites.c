/* SPDX-License-Identifier: Apache-2.0 */
/* program_sites - which linears of a program share their inputs, where it stops for them, and
 * what is alive there. */
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "op.h"

#define SITE_LINEARS_MAX 64 /* the wire's bound */

int program_reads(const struct op *o, int slot)
{
    for (size_t i = 0; i < o->kind->inputs; i++)
        if (o->in[i] == slot)
            return 1;
    return o->adds && o->out == slot;
}

/* The last operation before `at` that wrote rows that the expert (-1: any) sees; -1: none. */
static int64_t last_write(const struct program *p, int slot, int expert, size_t at)
{
    for (size_t i = at; i-- > 0;)
        if (p->op[i].out == slot &&
            (expert < 0 || p->op[i].expert < 0 || p->op[i].expert == expert))
            return (int64_t)i;
    return -1;
}

/* ---- sites ---- */

static int is_of_site(const struct op *o)
{
    return o->kind == &op_linear && o->linear.site;
}

static struct program_site *site_of(struct program *p, size_t at)
{
    const struct op *o = &p->op[at];
    const int64_t written = last_write(p, o->in[0], o->expert, at);

    for (size_t s = 0; s < p->nsites; s++) {
        struct program_site *x = &p->site[s];

        if (x->slot == o->in[0] && x->expert == o->expert && (int64_t)x->first > written)
            return x;
    }
    return NULL;
}

static int site_add(struct program *p, size_t at, struct err *e)
{
    const struct op *o = &p->op[at];
    struct program_site *x = site_of(p, at);

    if (o->in[0] == PROGRAM_STREAM)
        return err_set(e, ERR_USE, "%s'%s' of site %s reads the stream itself", p->prefix,
                       o->tensor[0].name, o->linear.name);
    if (x && strcmp(x->name, o->linear.name) != 0)
        return err_set(e, ERR_USE, "%s'%s' is said to be of site %s, but it reads what %s reads",
                       p->prefix, o->tensor[0].name, o->linear.name, x->name);
    if (x && x->count == SITE_LINEARS_MAX)
        return err_set(e, ERR_USE, "%ssite %s has more than %d linears", p->prefix, x->name,
                       SITE_LINEARS_MAX);
    if (!x) {
        for (size_t s = 0; s < p->nsites; s++)
            if (strcmp(p->site[s].name, o->linear.name) == 0)
                return err_set(e, ERR_USE, "%s'%s' reads other rows than the rest of site %s",
                               p->prefix, o->tensor[0].name, o->linear.name);
        if (mem_grow((void **)&p->site, &p->site_cap, p->nsites + 1, sizeof *p->site, e) < 0)
            return -1;
        x = &p->site[p->nsites++];
        *x = (struct program_site){.name = o->linear.name,
                                   .fused = o->linear.fused,
                                   .slot = o->in[0],
                                   .expert = o->expert,
                                   .inputs = p->slot[o->in[0]].width,
                                   .first = at};
    }
    x->count++;
    return 0;
}

static int by_stop(const void *a, const void *b)
{
    const struct program_site *x = a, *y = b;

    if (x->stop != y->stop)
        return x->stop < y->stop ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* It stops before the first linear whose site has no stop yet; all sites are of that stop whose
 * rows are there by then. */
static int stops_make(struct program *p, struct err *e)
{
    for (size_t s = 0; s < p->nsites; s++) { /* in the order of their first linears */
        const size_t at = p->site[s].first;

        if (p->site[s].stop != SIZE_MAX)
            continue;
        if (mem_grow((void **)&p->stop, &p->stop_cap, p->nstops + 1, sizeof *p->stop, e) < 0)
            return -1;
        for (size_t i = s; i < p->nsites; i++) {
            struct program_site *x = &p->site[i];

            if (x->stop == SIZE_MAX && last_write(p, x->slot, x->expert, x->first) < (int64_t)at)
                x->stop = p->nstops;
        }
        p->stop[p->nstops++] = at;
    }
    return 0;
}

int program_finish(struct program *p, struct err *e)
{
    if (p->bad) {
        *e = p->err;
        return -1;
    }
    for (size_t i = 0; i < p->nops; i++)
        if (is_of_site(&p->op[i]) && site_add(p, i, e) < 0)
            return -1;
    for (size_t s = 0; s < p->nsites; s++)
        p->site[s].stop = SIZE_MAX;
    if (stops_make(p, e) < 0)
        return -1;
    if (p->nsites)
        qsort(p->site, p->nsites, sizeof *p->site, by_stop);
    for (size_t i = 0; i < p->nops; i++)
        for (size_t s = 0; is_of_site(&p->op[i]) && s < p->nsites; s++)
            if (strcmp(p->site[s].name, p->op[i].linear.name) == 0)
                p->op[i].site = (int)s;
    return 0;
}

const struct op *program_linear_of(const struct program *p, size_t site, size_t i)
{
    for (size_t k = p->site[site].first; k < p->nops; k++)
        if (p->op[k].site == (int)site && i-- == 0)
            return &p->op[k];
    return NULL;
}

/* ---- what is alive ---- */

int program_is_held(const struct program *p, int slot)
{
    return slot == PROGRAM_STREAM || (p->carry && slot == p->carry);
}

int program_alive(const struct program *p, int slot, size_t at)
{
    if (!program_is_held(p, slot) && last_write(p, slot, -1, at) < 0)
        return 0;
    for (size_t i = at; i < p->nops; i++) {
        if (program_reads(&p->op[i], slot))
            return 1;
        if (p->op[i].out == slot && p->op[i].expert < 0)
            return 0;
    }
    return program_is_held(p, slot);
}

size_t program_stop_at(const struct program *p, size_t stop)
{
    return stop < p->nstops ? p->stop[stop] : p->nops;
}

int program_holds_rows(const struct program *p, int slot, size_t stop)
{
    const int64_t written = last_write(p, slot, -1, program_stop_at(p, stop));

    for (size_t s = 0; s < p->nsites; s++)
        if (p->site[s].slot == slot && p->site[s].stop <= stop &&
            (int64_t)p->site[s].first > written)
            return 1;
    return 0;
}

size_t program_kept(const struct program *p, size_t stop, size_t T, size_t item)
{
    size_t bytes = 0;

    for (size_t s = 1; stop < p->nstops && s < p->nslots; s++)
        if (!program_is_held(p, (int)s) && program_alive(p, (int)s, p->stop[stop]))
            bytes += T * p->slot[s].top * p->slot[s].width *
                     (program_holds_rows(p, (int)s, stop) ? item : sizeof(float));
    return bytes;
}

size_t program_kept_most(const struct program *p, size_t T, size_t item)
{
    size_t most = 0;

    for (size_t stop = 0; stop < p->nstops; stop++)
        if (program_kept(p, stop, T, item) > most)
            most = program_kept(p, stop, T, item);
    return most;
}
