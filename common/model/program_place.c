/* SPDX-License-Identifier: Apache-2.0 */
/* program_place - where the slots of a part of a program lie in one piece of memory.
 *
 * A slot takes its place from its first operation to its last one; those that are never there
 * together may share it. In a span that goes over slabs all slots that are there outside of it
 * too keep their places through the whole of it. Places are given first fit, the earliest first:
 * a slot that is written while its input still stands lies beside it. */
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "op.h"

static int is_used(const unsigned char *use, size_t i)
{
    return !use || use[i];
}

/* A span holds operations over rows of one kind. */
static int route_of(const struct program *p, size_t i)
{
    return p->slot[p->op[i].out].route;
}

static int touches(const struct op *o, int slot)
{
    return o->out == slot || program_reads(o, slot);
}

/* Does what stands in the slot before operation `to` go on from there? */
static int leaves(const struct program *p, int slot, size_t to, const unsigned char *use)
{
    int needed = !use || to == p->nops;

    for (size_t i = to; i < p->nops && !needed; i++)
        needed = is_used(use, i) && program_reads(&p->op[i], slot);
    return needed && program_alive(p, slot, to);
}

static int is_outside(const struct program *p, int slot, size_t from, size_t to,
                      const unsigned char *use)
{
    return program_alive(p, slot, from) || leaves(p, slot, to, use);
}

static int has_slabs(const struct program *p, size_t from, size_t to, const unsigned char *use)
{
    for (size_t i = from; i < to; i++)
        if (is_used(use, i) && !program_is_held(p, p->op[i].out) &&
            !is_outside(p, p->op[i].out, from, to, use))
            return 1;
    return 0;
}

struct program_span program_span_at(const struct program *p, size_t from, size_t to,
                                    const unsigned char *use)
{
    struct program_span s = {.from = from, .to = from + 1, .local = p->op[from].kind->local};

    while (s.local && s.to < to && p->op[s.to].kind->local &&
           route_of(p, s.to) == route_of(p, from))
        s.to++;
    s.slabs = s.local && has_slabs(p, s.from, s.to, use);
    return s;
}

int program_in_slabs(const struct program *p, int slot, const struct program_span *s,
                     const unsigned char *use)
{
    return s->slabs && !program_is_held(p, slot) && !is_outside(p, slot, s->from, s->to, use);
}

struct place {
    int slot;
    size_t first, last; /* operations, both included */
    size_t floats, offset;
};

/* Widens the place of a slot to what a span asks for. */
static void place_widen(struct place *x, const struct program *p, const struct program_span *s,
                        const unsigned char *use, size_t T)
{
    size_t first = s->to, last = s->from;
    const struct program_slot *slot = &p->slot[x->slot];
    const int slab = program_in_slabs(p, x->slot, s, use);
    const size_t all = T * slot->top, rows = slab && all > PROGRAM_SLAB ? PROGRAM_SLAB : all;

    for (size_t i = s->from; i < s->to; i++)
        if (is_used(use, i) && touches(&p->op[i], x->slot)) {
            first = i < first ? i : first;
            last = i;
        }
    if (first == s->to)
        return;
    if (s->slabs && !slab) {
        first = s->from;
        last = s->to - 1;
    }
    x->first = first < x->first ? first : x->first;
    x->last = last > x->last || x->last == SIZE_MAX ? last : x->last;
    x->floats = rows * slot->width > x->floats ? rows * slot->width : x->floats;
}

/* The lowest offset at which x meets none of those that stand. */
static void place_find(struct place *x, const struct place *standing, size_t n)
{
    int moved = 1;

    x->offset = 0;
    while (moved) {
        moved = 0;
        for (size_t i = 0; i < n; i++) {
            const struct place *y = &standing[i];

            if (y->last < x->first || x->last < y->first || y->offset + y->floats <= x->offset ||
                x->offset + x->floats <= y->offset)
                continue;
            x->offset = y->offset + y->floats;
            moved = 1;
        }
    }
}

static struct place place_of(const struct program *p, int slot, size_t from, size_t to,
                             const unsigned char *use, size_t T)
{
    struct place x = {.slot = slot, .first = SIZE_MAX, .last = SIZE_MAX};
    const size_t whole = T * p->slot[slot].top * p->slot[slot].width;

    for (size_t at = from; at < to;) {
        const struct program_span s = program_span_at(p, at, to, use);

        place_widen(&x, p, &s, use, T);
        at = s.to;
    }
    if (program_alive(p, slot, from) && (x.first != SIZE_MAX || leaves(p, slot, to, use))) {
        x.first = from;
        x.last = x.last == SIZE_MAX ? from : x.last;
        x.floats = whole;
    }
    if (x.first != SIZE_MAX && leaves(p, slot, to, use)) {
        x.last = to;
        x.floats = whole;
    }
    x.floats = (x.floats + 15) / 16 * 16; /* places are aligned as the whole is */
    return x;
}

static int by_first(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    return x->slot - y->slot;
}

int program_place(const struct program *p, size_t from, size_t to, const unsigned char *use,
                  size_t T, size_t *offset, size_t *floats, struct err *e)
{
    struct place *x = mem_array(p->nslots, sizeof *x, e);
    size_t n = 0;

    if (!x)
        return -1;
    *floats = 0;
    for (size_t s = 0; s < p->nslots; s++) {
        offset[s] = SIZE_MAX;
        if (!program_is_held(p, (int)s))
            x[n++] = place_of(p, (int)s, from, to, use, T);
    }
    qsort(x, n, sizeof *x, by_first);
    for (size_t i = 0; i < n && x[i].first != SIZE_MAX; i++) {
        place_find(&x[i], x, i);
        offset[x[i].slot] = x[i].offset;
        if (x[i].offset + x[i].floats > *floats)
            *floats = x[i].offset + x[i].floats;
    }
    free(x);
    return 0;
}

int program_room(const struct program *p, size_t T, size_t *bytes, struct err *e)
{
    size_t *offset = mem_array(p->nslots, sizeof *offset, e), from = 0;
    int rc = offset ? 0 : -1;

    *bytes = 0;
    for (size_t stop = 0; stop <= p->nstops && rc == 0; stop++) {
        const size_t to = program_stop_at(p, stop);
        size_t floats;

        rc = program_place(p, from, to, NULL, T, offset, &floats, e);
        if (rc == 0 && floats * sizeof(float) > *bytes)
            *bytes = floats * sizeof(float);
        from = to;
    }
    free(offset);
    return rc;
}
