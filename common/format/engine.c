/* SPDX-License-Identifier: Apache-2.0 */
/* engine - see engine.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "engine.h"
#include "grid_affine.h"

void engine_start(struct engine_look *x, const struct format *f)
{
    memset(x, 0, sizeof *x);
    x->table = f->engines;
}

const char *engine_tiles(const struct format_linear *l)
{
    return l->N % 64 || l->K % 128 ? "sizes that are no multiples of 64 and 128" : NULL;
}

/* Not known before a solution has come. */
static int is_float(const struct format_linear *l)
{
    return l->grid && !affine_is(l->grid);
}

static int same_kind(const struct format_linear *a, const struct format_linear *b)
{
    return a->bits == b->bits && a->group == b->group && a->symmetric == b->symmetric &&
           (is_float(a) || is_float(b) ? a->grid == b->grid : 1);
}

static void refuse(char no[64], const struct engine *g, const struct format_linear *l)
{
    const char *why = g->refuses ? g->refuses(l) : NULL;

    if (why)
        snprintf(no, 64, "%s", why);
    else if (is_float(l) && !g->floats)
        snprintf(no, 64, "grid %.40s", l->grid->name);
    else if (is_float(l))
        return;
    else if (!(g->bits >> l->bits & 1))
        snprintf(no, 64, "%d bits", l->bits);
    else if (g->group && !g->group(l->bits, l->group) && l->group < 0)
        snprintf(no, 64, "%d bits with a group of the whole row", l->bits);
    else if (g->group && !g->group(l->bits, l->group))
        snprintf(no, 64, "group %lld", (long long)l->group);
    else if (!g->zeros && !l->symmetric)
        snprintf(no, 64, ENGINE_ZEROS);
    else if (!g->head && l->head)
        snprintf(no, 64, "a quantized head");
    else if (!g->permuted && l->permuted)
        snprintf(no, 64, "groups of inputs in any order");
}

/* What the linear before it has to do with it. */
static void refuse_beside(char no[64], const struct engine *g, const struct engine_look *x,
                          const struct format_linear *l)
{
    const int differ = l->kept != x->last.kept || (!l->kept && !same_kind(l, &x->last));

    if (!g->parts && l->fused && x->last.fused && l->site == x->last.site && differ)
        snprintf(no, 64, "%.24s of different kinds", l->fused);
    else if (!g->parts && l->experts && l->experts == x->expert.experts &&
             (l->kept != x->expert.kept || (!l->kept && !same_kind(l, &x->expert))))
        snprintf(no, 64, "experts of different kinds");
    else if (!g->mixed && !l->kept && x->kind.bits && !same_kind(l, &x->kind))
        snprintf(no, 64, "bits, groups or grids that differ");
    else if (!g->kept && l->kept)
        snprintf(no, 64, "linears left as they are");
}

void engine_add(struct engine_look *x, const struct format_linear *l)
{
    for (size_t i = 0; x->table[i].name; i++) {
        if (!*x->no[i])
            refuse_beside(x->no[i], &x->table[i], x, l);
        if (!*x->no[i] && !l->kept)
            refuse(x->no[i], &x->table[i], l);
        x->gpu[i] |= !l->kept &&
                     (is_float(l) ? x->table[i].floats_gpu : (int)(x->table[i].gpu >> l->bits & 1));
    }
    x->zeros |= !l->kept && !l->symmetric && !is_float(l);
    if (!l->kept && !x->kind.bits)
        x->kind = *l;
    if (l->experts && l->experts != x->expert.experts)
        x->expert = *l;
    x->last = *l;
}

const char *engine_use(const struct engine_look *x, size_t i)
{
    const struct engine *g = &x->table[i];

    return x->zeros && g->use_zeros ? g->use_zeros : g->use;
}

static void append(char *out, size_t room, const char *form, ...)
{
    const size_t n = strlen(out);
    va_list ap;

    va_start(ap, form);
    vsnprintf(out + n, room - n, form, ap);
    va_end(ap);
}

size_t engine_text(const struct engine_look *x, char *out, size_t room)
{
    size_t count = 0, not = 0;

    *out = '\0';
    for (size_t i = 0; x->table[i].name; i++)
        if (!*x->no[i] && !x->table[i].untried)
            append(out, room, "%s%s%s", count++ ? ", " : "", x->table[i].name,
                   x->gpu[i] ? " (on a GPU)" : "");
    if (!count)
        append(out, room, "none of those that were tried");
    for (size_t i = 0; x->table[i].name; i++)
        if (*x->no[i] && !x->table[i].untried)
            append(out, room, "%s%s (%s)", not ++? ", " : "; not ", x->table[i].name, x->no[i]);
    return count;
}

const char *engine_together(const struct engine_look *x, char *out, size_t room)
{
    *out = '\0';
    for (size_t i = 0; x->table[i].name; i++)
        if (!x->table[i].parts && !x->table[i].untried)
            append(out, room, "%s%s", *out ? ", " : "", x->table[i].name);
    return out;
}

int engine_refused(const struct engine_look *x, const char *why)
{
    for (size_t i = 0; x->table[i].name; i++)
        if (strcmp(x->no[i], why) == 0 && !x->table[i].untried)
            return 1;
    return 0;
}
