/* SPDX-License-Identifier: Apache-2.0 */
/* block_fold - see block_fold.h. */
#include "block_fold.h"

#include <string.h>
#include "block_parts.h"

struct walk {
    const struct block *b;
    const unsigned char *sites;
    struct block_fold *f;
    size_t linears; /* of the sites, that were found */
};

/* The last operation before `at` that wrote the slot; -1: none. */
static int64_t writer_of(const struct block *b, int slot, size_t at)
{
    for (size_t i = at; i-- > 0;)
        if (b->p.op[i].out == slot && block_has(b, i))
            return (int64_t)i;
    return -1;
}

static int take_linear(struct walk *w, const struct op *o)
{
    struct block_fold *f = w->f;

    if (o->site >= 0) {
        w->linears++;
        return w->sites[o->site];
    }
    if (f->readers == BLOCK_FOLD_READERS || o->tensor[0].whole)
        return 0;
    f->reader[f->readers++] = o->tensor[0].name;
    return 1;
}

/* Do only linears that may read what the slot holds from operation `at` on? */
static int take_readers(struct walk *w, int slot, size_t at)
{
    const struct program *p = &w->b->p;

    for (size_t i = at; i < p->nops; i++) {
        const struct op *o = &p->op[i];

        if (!block_has(w->b, i))
            continue;
        if (program_reads(o, slot) && !(o->kind == &op_linear && take_linear(w, o)) &&
            !((o->kind == &op_gather || o->kind == &op_round) && o->in[0] == slot &&
              take_readers(w, o->out, i + 1)))
            return 0;
        if (o->out == slot)
            break;
    }
    return 1;
}

/* The norm behind the first of the sites; -1: something else is. */
static int64_t norm_of(const struct block *b, const unsigned char *sites)
{
    const struct program *p = &b->p;
    int64_t at;
    size_t s = 0;

    while (s < p->nsites && !sites[s])
        s++;
    if (s == p->nsites)
        return -1;
    at = writer_of(b, p->site[s].slot, p->site[s].first);
    while (at >= 0 && (p->op[at].kind == &op_gather || p->op[at].kind == &op_round))
        at = writer_of(b, p->op[at].in[0], (size_t)at);
    return at >= 0 && p->op[at].kind == &op_norm && p->op[at].norm.heads == 1 &&
                   p->op[at].tensor[0].name && !p->op[at].tensor[0].whole
               ? at
               : -1;
}

int block_fold_find(const struct block *b, const unsigned char *sites, struct block_fold *f)
{
    struct walk w = {.b = b, .sites = sites, .f = f};
    const int64_t at = norm_of(b, sites);
    size_t linears = 0;

    *f = (struct block_fold){0};
    if (at < 0 || !take_readers(&w, b->p.op[at].out, (size_t)at + 1))
        return 0;
    for (size_t s = 0; s < b->p.nsites; s++)
        linears += sites[s] ? b->p.site[s].count : 0;
    f->norm = b->p.op[at].tensor[0].name;
    f->one = b->p.op[at].norm.spec.kind == NORM_RMS_ONE;
    return w.linears == linears;
}

float *block_fold_tensor(struct block *b, const char *name)
{
    for (size_t i = 0; i < b->p.nops; i++)
        if (b->p.op[i].tensor[0].name && strcmp(b->p.op[i].tensor[0].name, name) == 0)
            return b->w[i];
    return NULL;
}
