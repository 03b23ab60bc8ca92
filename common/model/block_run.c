/* SPDX-License-Identifier: Apache-2.0 */
/* block_run - runs a part of a block's program over the rows of a chunk.
 *
 * Operations over rows alone that follow one another go over TILE_ROWS rows together, on all
 * threads; the others bring their own tiles. Spans of local operations go over slabs of rows
 * where that saves memory (program_place.c). All these sizes are fixed: results depend on none
 * of what is left to chance. */
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "../tensor/blas.h"
#include "block_parts.h"
#include "family.h"
#include "model.h"

enum { TILE_ROWS = 64, TOGETHER = 16 };

int block_has(const struct block *b, size_t op)
{
    const struct op *o = &b->p.op[op];

    return !(o->kind->tensors && o->tensor[0].optional && !b->w[op]);
}

static int is_used(const struct block_walk *w, size_t i)
{
    return (!w->use || w->use[i]) && block_has(w->b, i);
}

/* ---- one operation ---- */

const struct op_groups *block_walk_groups(struct block_walk *w, int route, struct err *e)
{
    struct block *b = w->b;
    struct op_groups *g = &b->groups[route];

    if (g->token)
        return g;
    for (size_t i = 0; i < b->p.nops; i++)
        if (b->p.op[i].kind->routes && b->p.op[i].out == route)
            return op_groups_make(g, b->room + b->offset[route], w->r->T, b->p.op[i].route.experts,
                                  b->p.op[i].route.top, e) == 0
                       ? g
                       : NULL;
    return NULL;
}

static float *row_at(const struct block_walk *w, int slot, size_t first,
                     const struct program_span *s)
{
    const struct program *p = &w->b->p;

    if (program_is_held(p, slot))
        return w->h + (slot == PROGRAM_STREAM ? 0 : w->r->T * p->slot[PROGRAM_STREAM].width) +
               first * p->slot[slot].width;
    return w->b->room + w->b->offset[slot] +
           (program_in_slabs(p, slot, s, w->use) ? 0 : first * p->slot[slot].width);
}

int block_route(const struct program *p, const struct op *o)
{
    if (o->kind == &op_gather || o->kind == &op_scatter || o->kind == &op_experts_times)
        return o->in[1];
    return o->expert >= 0 ? p->slot[o->out].route : -1;
}

static int args_make(struct block_walk *w, size_t i, const struct program_span *s, size_t first,
                     size_t count, struct op_args *a, struct err *e)
{
    const struct program *p = &w->b->p;
    const struct op *o = &p->op[i];
    const int route = block_route(p, o);

    *a = (struct op_args){.op = o,
                          .par = w->b->m->par,
                          .products = &blas_products,
                          .rows = w->r,
                          .position = w->places.position,
                          .length = w->places.length,
                          .cache = w->cache,
                          .exact = w->b->exact,
                          .half = w->b->m->products == PRODUCTS_BF16,
                          .first = first,
                          .count = count,
                          .tensor = {w->b->w[i]},
                          .width_out = p->slot[o->out].width};
    if (route >= 0 && !(a->groups = block_walk_groups(w, route, e)))
        return -1;
    if (o->kind == &op_rope && !(a->rope = block_rope(w->b, o, w->r, w->places.lengths, e)))
        return -1;
    if (o->expert >= 0) {
        const size_t low = a->groups->first[o->expert], high = a->groups->first[o->expert + 1];

        a->first = low > first ? low : first;
        a->count = high > first + count ? first + count : high;
        a->count = a->count > a->first ? a->count - a->first : 0;
    }
    for (size_t k = 0; k < o->kind->inputs; k++) {
        a->width[k] = p->slot[o->in[k]].width;
        a->in[k] = row_at(w, o->in[k], first, s) + (a->first - first) * a->width[k];
    }
    if (w->b->narrow[i].w)
        a->narrow = &w->b->narrow[i];
    if (a->narrow && w->b->kept[o->in[0]])
        a->in16 = w->b->kept[o->in[0]] + a->first * a->width[0];
    a->out = row_at(w, o->out, first, s) + (a->first - first) * a->width_out;
    return 0;
}

/* ---- operations over rows, together ---- */

struct together {
    struct op_args at[TOGETHER];
    size_t count;
    size_t first, rows; /* of the slab */
};

static int together_tile(void *ctx, size_t i, size_t worker, struct err *e)
{
    const struct together *g = ctx;
    const size_t low = g->first + i * TILE_ROWS, high = low + TILE_ROWS;

    (void)worker;
    (void)e;
    for (size_t k = 0; k < g->count; k++) {
        const struct op_args *a = &g->at[k];
        const size_t from = low > a->first ? low : a->first,
                     end = high < a->first + a->count ? high : a->first + a->count;

        if (end > from)
            a->op->kind->each(a, from - a->first, end - from);
    }
    return 0;
}

/* From operation *i on, as many as go together. */
static int run_together(struct block_walk *w, const struct program_span *s, size_t *i, size_t first,
                        size_t rows, struct err *e)
{
    struct together g = {.first = first, .rows = rows};

    for (; *i < s->to && w->b->p.op[*i].kind->each && g.count < TOGETHER; ++*i)
        if (is_used(w, *i) && args_make(w, *i, s, first, rows, &g.at[g.count++], e) < 0)
            return -1;
    return g.count ? par_for(w->b->m->par, (rows + TILE_ROWS - 1) / TILE_ROWS, together_tile, &g, e)
                   : 0;
}

static int run_slab(struct block_walk *w, const struct program_span *s, size_t first, size_t rows,
                    struct err *e)
{
    struct op_args a;

    for (size_t i = s->from; i < s->to;) {
        if (w->b->p.op[i].kind->each) {
            if (run_together(w, s, &i, first, rows, e) < 0)
                return -1;
            continue;
        }
        if (is_used(w, i) &&
            (args_make(w, i, s, first, rows, &a, e) < 0 || a.op->kind->run(&a, e) < 0))
            return -1;
        i++;
    }
    return 0;
}

static int run_span(struct block_walk *w, const struct program_span *s, struct err *e)
{
    const size_t all = w->r->T * w->b->p.slot[w->b->p.op[s->from].out].top,
                 step = s->slabs && all > PROGRAM_SLAB ? PROGRAM_SLAB : all;

    for (size_t t = 0; t < all; t += step)
        if (run_slab(w, s, t, all - t < step ? all - t : step, e) < 0)
            return -1;
    return 0;
}

/* ---- a walk ---- */

static int check_rows(const struct rows *r, struct err *e)
{
    size_t sum = 0;

    for (size_t s = 0; s < r->nseq; s++) {
        if (r->lengths[s] < 1 || (size_t)r->lengths[s] > r->T - sum)
            return err_set(e, ERR_USE, "sequence %zu of the chunk has %ld tokens, %zu are left", s,
                           (long)r->lengths[s], r->T - sum);
        sum += (size_t)r->lengths[s];
    }
    return sum == r->T ? 0
                       : err_set(e, ERR_USE,
                                 "the sequences of the chunk have %zu tokens, the chunk has %zu",
                                 sum, r->T);
}

static int check_weights(const struct block_walk *w, struct err *e)
{
    for (size_t i = w->from; i < w->to; i++)
        if (is_used(w, i) && block_need(w->b, i, e) < 0)
            return -1;
    return 0;
}

int block_need(const struct block *b, size_t op, struct err *e)
{
    const char *name = b->p.op[op].tensor[0].name;

    return b->p.op[op].site < 0 || b->w[op] || b->narrow[op].w
               ? 0
               : err_set(e, ERR_USE, "block %zu: '%.*s' is needed but not loaded", b->index,
                         (int)(strlen(name) - strlen(".weight")), name);
}

int block_places_make(struct block_places *x, const struct rows *r, const struct op_cache *c,
                      struct err *e)
{
    size_t t = 0;

    *x = (struct block_places){0};
    if (check_rows(r, e) < 0 || !(x->position = mem_array(r->T, sizeof *x->position, e)) ||
        !(x->length = mem_array(r->T, sizeof *x->length, e)) ||
        !(x->lengths = mem_array(r->nseq, sizeof *x->lengths, e)))
        return -1;
    for (size_t s = 0; s < r->nseq; s++) {
        const size_t before = c ? c->first[s] : 0, n = (size_t)r->lengths[s];

        x->lengths[s] = before + n;
        for (size_t i = 0; i < n; i++, t++) {
            x->position[t] = before + i;
            x->length[t] = before + n;
        }
    }
    return 0;
}

void block_places_release(struct block_places *x)
{
    free(x->position);
    free(x->length);
    free(x->lengths);
    *x = (struct block_places){0};
}

int block_walk_begin(struct block_walk *w, struct err *e)
{
    struct block *b = w->b;
    size_t floats;

    if (block_places_make(&w->places, w->r, w->cache, e) < 0 || check_weights(w, e) < 0 ||
        program_place(&b->p, w->from, w->to, w->use, w->r->T, b->offset, &floats, e) < 0)
        return -1;
    for (size_t i = 0; i < b->p.nslots; i++) {
        op_groups_release(&b->groups[i]);
        b->kept[i] = NULL;
    }
    b->room = model_scratch(b->m, floats ? floats : 1, e);
    return b->room ? 0 : -1;
}

void block_walk_end(struct block_walk *w)
{
    block_places_release(&w->places);
}

int block_walk_run(struct block_walk *w, struct err *e)
{
    for (size_t at = w->from; at < w->to;) {
        const struct program_span s = program_span_at(&w->b->p, at, w->to, w->use);

        if (s.to == s.from + 1 && !is_used(w, at)) {
            at++;
            continue;
        }
        if (run_span(w, &s, e) < 0)
            return -1;
        at = s.to;
    }
    return 0;
}

/* ---- from stop to stop ---- */

/* Numbers of a slot in a chunk. */
static size_t slot_floats(const struct block *b, size_t slot, size_t T)
{
    return T * b->p.slot[slot].top * b->p.slot[slot].width;
}

static int is_kept(const struct block *b, int slot, size_t stop)
{
    return !program_is_held(&b->p, slot) &&
           program_alive(&b->p, slot, program_stop_at(&b->p, stop));
}

/* Is what was kept of the slot at this stop read by products of bf16 alone, and by none behind the
 * next stop? */
static int is_for_narrow(const struct block *b, int slot, size_t stop)
{
    const size_t from = program_stop_at(&b->p, stop),
                 to = stop + 1 < b->p.nstops ? program_stop_at(&b->p, stop + 1) : b->p.nops;

    for (size_t i = from; i < to; i++)
        if (b->p.op[i].out == slot || (program_reads(&b->p.op[i], slot) && !b->narrow[i].w))
            return 0;
    return to == b->p.nops || !program_alive(&b->p, slot, to);
}

/* narrow: rows that only products of bf16 read stay where they are. */
static int unpack(struct block *b, size_t stop, size_t T, enum dtype rows, const void *kept,
                  int narrow, struct err *e)
{
    const char *from = kept;

    for (size_t s = 1; s < b->p.nslots; s++) {
        const size_t n = slot_floats(b, s, T);
        float *to = b->room + b->offset[s];

        if (!is_kept(b, (int)s, stop))
            continue;
        if (!program_holds_rows(&b->p, (int)s, stop)) {
            memcpy(to, from, n * sizeof *to);
            from += n * sizeof *to;
            continue;
        }
        if (narrow && rows == DT_BF16 && is_for_narrow(b, (int)s, stop))
            b->kept[s] = (const void *)from;
        else if (dtype_to_f32(rows, from, n, to) < 0)
            return err_set(e, ERR_SYS, "rows of type %s cannot be read back", dtype_name(rows));
        from += n * dtype_size(rows);
    }
    return 0;
}

void block_keep(const struct block *b, size_t stop, const struct rows *r, enum dtype rows,
                void *kept)
{
    char *to = kept;

    for (size_t s = 1; s < b->p.nslots; s++) {
        const size_t n = slot_floats(b, s, r->T);
        const float *from = b->room + b->offset[s];

        if (!is_kept(b, (int)s, stop))
            continue;
        if (program_holds_rows(&b->p, (int)s, stop)) {
            dtype_from_f32(rows, from, n, to);
            to += n * dtype_size(rows);
        } else {
            memcpy(to, from, n * sizeof *from);
            to += n * sizeof *from;
        }
    }
}

int block_step(struct block *b, size_t stop, const struct rows *r, float *h, enum dtype rows,
               const void *kept, struct err *e)
{
    struct block_walk w = {.b = b,
                           .r = r,
                           .h = h,
                           .from = stop ? program_stop_at(&b->p, stop - 1) : 0,
                           .to = program_stop_at(&b->p, stop)};
    int rc = -1;

    if (block_walk_begin(&w, e) == 0 && (!stop || unpack(b, stop - 1, r->T, rows, kept, 1, e) == 0))
        rc = block_walk_run(&w, e);
    block_walk_end(&w);
    return rc;
}

int block_recall(struct block *b, size_t stop, const struct rows *r, enum dtype rows,
                 const void *kept, struct err *e)
{
    const size_t at = program_stop_at(&b->p, stop);
    struct block_walk w = {.b = b, .r = r, .from = at, .to = at};
    int rc = block_walk_begin(&w, e) < 0 ? -1 : unpack(b, stop, r->T, rows, kept, 0, e);

    block_walk_end(&w);
    return rc;
}

size_t block_kept_before(const struct block *b, int slot, size_t stop, size_t T, enum dtype rows)
{
    size_t bytes = 0;

    for (int s = 1; s < slot; s++)
        if (is_kept(b, s, stop))
            bytes += slot_floats(b, (size_t)s, T) *
                     (program_holds_rows(&b->p, s, stop) ? dtype_size(rows) : sizeof(float));
    return bytes;
}

int block_site_rows(struct block *b, size_t site, const struct rows *r, enum dtype rows,
                    struct block_rows *out, struct err *e)
{
    const struct program_site *x = &b->p.site[site];
    const struct program_slot *slot = &b->p.slot[x->slot];
    size_t first = 0;

    *out = (struct block_rows){.count = r->T,
                               .kept = block_kept_before(b, x->slot, x->stop, r->T, rows)};
    if (x->expert >= 0) {
        struct block_walk w = {.b = b, .r = r};
        const struct op_groups *g = block_walk_groups(&w, slot->route, e);

        if (!g)
            return -1;
        first = g->first[x->expert];
        out->count = g->first[x->expert + 1] - first;
        out->token = g->token + first;
    }
    out->x = b->room + b->offset[x->slot] + first * slot->width;
    out->kept += first * slot->width * dtype_size(rows);
    return 0;
}

/* ---- all at once ---- */

static int run_all(struct block *b, const struct rows *r, const struct op_cache *cache, float *h,
                   struct err *e)
{
    struct block_walk w = {.b = b, .r = r, .h = h, .to = b->p.nops, .cache = cache};
    int rc = block_walk_begin(&w, e) == 0 ? block_walk_run(&w, e) : -1;

    block_walk_end(&w);
    return rc;
}

int block_forward(struct block *b, const struct rows *r, float *h, struct err *e)
{
    return run_all(b, r, NULL, h, e);
}

int block_decode(struct block *b, struct kv_cache *kv, const size_t *slots, const struct rows *r,
                 float *h, struct err *e)
{
    struct op_cache c = {.kv = kv,
                         .block = b->index,
                         .slots = slots,
                         .first = mem_array(r->nseq, sizeof *c.first, e)};
    int rc = c.first ? 0 : -1;

    for (size_t s = 0; rc == 0 && s < r->nseq; s++) {
        c.first[s] = kv_length(kv, slots[s]);
        if (r->lengths[s] < 1 || (size_t)r->lengths[s] > kv_room(kv) - c.first[s])
            rc = err_set(e, ERR_USE,
                         "%ld rows do not fit behind the %zu of slot %zu: the cache has room for "
                         "%zu",
                         (long)r->lengths[s], c.first[s], slots[s], kv_room(kv));
    }
    if (rc == 0)
        rc = run_all(b, r, &c, h, e);
    free(c.first);
    return rc;
}

/* ---- what each token receives ---- */

/* Marks what the q and k of the first attention come from, and that one; its number, or nops. */
static size_t received_mark(const struct program *p, unsigned char *use, struct err *e)
{
    unsigned char *needed = mem_array(p->nslots, 1, e);
    size_t at = 0;

    if (!needed)
        return p->nops;
    while (at < p->nops && !p->op[at].kind->attends)
        at++;
    if (at == p->nops)
        err_set(e, ERR_USE, "%.*s has no attention", (int)strlen(p->prefix) - 1, p->prefix);
    else {
        use[at] = 1;
        needed[p->op[at].in[0]] = needed[p->op[at].in[1]] = 1;
    }
    for (size_t i = at < p->nops ? at : 0; i-- > 0;) {
        const struct op *o = &p->op[i];

        if (!needed[o->out])
            continue;
        if (o->out == PROGRAM_STREAM) {
            err_set(e, ERR_USE, "the attention of %.*s does not see the stream as it comes",
                    (int)strlen(p->prefix) - 1, p->prefix);
            at = p->nops;
            break;
        }
        use[i] = 1;
        needed[o->out] = (unsigned char)program_reads(o, o->out);
        for (size_t k = 0; k < o->kind->inputs; k++)
            needed[o->in[k]] = 1;
    }
    free(needed);
    return at;
}

int block_check_received(const struct config *c, struct err *e)
{
    int rc = 0;

    for (size_t b = 0; b < c->layers && rc == 0; b++) {
        struct program p;
        unsigned char *use = NULL;

        rc = family_program(c, b, &p, e);
        if (rc == 0 && (!(use = mem_array(p.nops, 1, e)) || received_mark(&p, use, e) == p.nops))
            rc = -1;
        free(use);
        program_release(&p);
    }
    return rc;
}

int block_load_received(struct block *b, struct err *e)
{
    unsigned char *use = mem_array(b->p.nops, 1, e);
    const size_t at = use ? received_mark(&b->p, use, e) : b->p.nops;
    int rc = at < b->p.nops ? 0 : -1;

    for (size_t i = 0; i < at && rc == 0; i++)
        if (use[i] && b->p.op[i].site >= 0 && !b->w[i])
            rc = model_load_tensor(b->m, &b->p.op[i].tensor[0], &b->w[i], e);
    free(use);
    return rc;
}

int block_received(struct block *b, const struct rows *r, const float *h, double *received,
                   struct err *e)
{
    unsigned char *use = mem_array(b->p.nops, 1, e);
    const size_t at = use ? received_mark(&b->p, use, e) : b->p.nops;
    /* nothing on the way writes the stream */
    struct block_walk w = {.b = b, .r = r, .h = (float *)(uintptr_t)h, .to = at, .use = use};
    const struct program_span one = {.from = at, .to = at + 1};
    struct op_args a;
    int rc = -1;

    if (at < b->p.nops && block_walk_begin(&w, e) == 0 && block_walk_run(&w, e) == 0) {
        /* v and the result are not asked for */
        b->offset[b->p.op[at].in[2]] = b->offset[b->p.op[at].out] = 0;
        rc = args_make(&w, at, &one, 0, r->T, &a, e) == 0 ? op_attention_received(&a, received, e)
                                                          : -1;
    }
    block_walk_end(&w);
    free(use);
    return rc;
}
