/* SPDX-License-Identifier: Apache-2.0 */
/* block_expert - the rows that an expert would have of all tokens of a chunk, whether its router
 * sends them there or not.
 *
 * What the experts read was gathered for those that the router chose; each token goes to one of
 * them at least, so its row is there. What leads from these rows to a later site of an expert is
 * run again with groups that say: all of them are this expert's. */
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "block_parts.h"
#include "model.h"

/* The gather of the rows that the site comes from; NULL: it is of no expert. */
static const struct op *gather_of(const struct block *b, size_t site)
{
    const struct program_site *x = &b->p.site[site];

    for (size_t i = 0; x->expert >= 0 && i < b->p.nops; i++)
        if (b->p.op[i].kind == &op_gather && b->p.op[i].in[1] == b->p.slot[x->slot].route)
            return &b->p.op[i];
    return NULL;
}

size_t block_gathered_width(const struct block *b, size_t site)
{
    const struct op *gather = gather_of(b, site);

    return gather ? b->p.slot[gather->out].width : 0;
}

int block_gathered_at(const struct block *b, size_t site, size_t stop)
{
    const struct op *gather = gather_of(b, site);

    return gather && program_alive(&b->p, gather->out, program_stop_at(&b->p, stop)) &&
           program_holds_rows(&b->p, gather->out, stop);
}

int block_gathered(struct block *b, size_t site, size_t stop, const struct rows *r, enum dtype rows,
                   const void *kept, void *out, struct err *e)
{
    const struct op *gather = gather_of(b, site);
    const size_t bytes = b->p.slot[gather->out].width * dtype_size(rows);
    struct block_walk w = {.b = b, .r = r};
    const struct op_groups *g = block_walk_groups(&w, gather->in[1], e);
    const char *from = (const char *)kept + block_kept_before(b, gather->out, stop, r->T, rows);

    for (size_t i = 0; g && i < g->count; i++)
        memcpy((char *)out + g->token[i] * bytes, from + i * bytes, bytes);
    return g ? 0 : -1;
}

/* Marks what makes the rows of the site from those of the gather, and the linear that reads
 * them. */
static int mark(const struct block *b, size_t site, const struct op *gather, size_t from, size_t to,
                unsigned char *use, struct err *e)
{
    const struct program *p = &b->p;
    const struct program_site *x = &p->site[site];
    unsigned char *needed = mem_array(p->nslots, 1, e);
    int rc = needed ? 0 : -1;

    if (!needed)
        return -1;
    use[x->first] = 1;
    needed[x->slot] = 1;
    for (size_t i = to; i-- > from;) {
        const struct op *o = &p->op[i];

        if (!needed[o->out] || (o->expert >= 0 && o->expert != x->expert))
            continue;
        use[i] = 1;
        needed[o->out] = (unsigned char)program_reads(o, o->out);
        for (size_t k = 0; k < o->kind->inputs; k++)
            needed[o->in[k]] = 1;
    }
    for (size_t s = 0; s < p->nslots; s++)
        if (needed[s] && (int)s != gather->out)
            rc = err_set(e, ERR_USE,
                         "%s%s: its rows come from more than the rows of its tokens: use --experts "
                         "routed",
                         p->prefix, x->name);
    free(needed);
    return rc;
}

/* All rows are the expert's. */
static int groups_make(struct op_groups *g, size_t experts, int expert, size_t count, struct err *e)
{
    *g = (struct op_groups){.experts = experts, .count = count};
    g->first = mem_array(experts + 1, sizeof *g->first, e);
    g->token = mem_array(count, sizeof *g->token, e);
    g->weight = mem_array(count, sizeof *g->weight, e);
    if (!g->first || !g->token || !g->weight)
        return -1;
    for (size_t i = (size_t)expert + 1; i <= experts; i++)
        g->first[i] = count;
    return 0;
}

/* b has groups and offsets of its own for the walk. */
static int run_marked(struct block *b, size_t site, const struct op *gather,
                      const unsigned char *use, size_t T, enum dtype rows, const void *gathered,
                      void *out, struct err *e)
{
    const struct program_site *x = &b->p.site[site];
    const struct program_slot *slot = &b->p.slot[gather->out];
    const size_t n = (T + slot->top - 1) / slot->top, all = n * slot->top;
    const int32_t length = (int32_t)n;
    const struct rows r = {.T = n, .nseq = 1, .lengths = &length};
    struct block_walk w = {.b = b,
                           .r = &r,
                           .from = program_stop_at(&b->p, x->stop - 1),
                           .to = program_stop_at(&b->p, x->stop),
                           .use = use};
    int rc = -1;

    if (block_walk_begin(&w, e) == 0 &&
        groups_make(&b->groups[slot->route], slot->experts, x->expert, all, e) == 0) {
        float *to = b->room + b->offset[gather->out];

        memset(to + T * slot->width, 0, (all - T) * slot->width * sizeof *to);
        rc = dtype_to_f32(rows, gathered, T * slot->width, to) == 0 ? block_walk_run(&w, e) : -1;
    }
    if (rc == 0)
        dtype_from_f32(rows, b->room + b->offset[x->slot], T * b->p.slot[x->slot].width, out);
    block_walk_end(&w);
    return rc;
}

int block_every_row(struct block *b, size_t site, const struct rows *r, enum dtype rows,
                    const void *gathered, void *out, struct err *e)
{
    const struct op *gather = gather_of(b, site);
    const struct program_site *x = &b->p.site[site];
    struct op_groups *groups = b->groups;
    size_t *offset = b->offset;
    unsigned char *use;
    int rc = -1;

    if (x->slot == gather->out) {
        memcpy(out, gathered, r->T * b->p.slot[x->slot].width * dtype_size(rows));
        return 0;
    }
    use = mem_array(b->p.nops, 1, e);
    b->groups = mem_array(b->p.nslots, sizeof *b->groups, e);
    b->offset = mem_array(b->p.nslots, sizeof *b->offset, e);
    if (use && b->groups && b->offset &&
        mark(b, site, gather, program_stop_at(&b->p, x->stop - 1), program_stop_at(&b->p, x->stop),
             use, e) == 0)
        rc = run_marked(b, site, gather, use, r->T, rows, gathered, out, e);
    for (size_t i = 0; b->groups && i < b->p.nslots; i++)
        op_groups_release(&b->groups[i]);
    free(b->groups);
    free(b->offset);
    free(use);
    b->groups = groups;
    b->offset = offset;
    return rc;
}
