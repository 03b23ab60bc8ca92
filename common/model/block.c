/* SPDX-License-Identifier: Apache-2.0 */
/* block - one block with the tensors that its program reads: loading them, setting those of
 * commits, dropping what is done. Running it: block_run.c. */
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "block_parts.h"
#include "model.h"
#include "vision.h"

static int is_of_site(const struct op *o)
{
    return o->site >= 0;
}

static int load_others(struct block *b, struct err *e)
{
    for (size_t i = 0; i < b->p.nops; i++)
        if (b->p.op[i].kind->tensors && !is_of_site(&b->p.op[i]) &&
            model_load_tensor(b->m, &b->p.op[i].tensor[0], &b->w[i], e) < 0)
            return -1;
    return 0;
}

/* p: its program, taken over, also on an error. */
static struct block *block_of(struct model *m, size_t index, struct program *p, struct err *e)
{
    struct block *b = mem_array(1, sizeof *b, e);

    if (!b) {
        program_release(p);
        return NULL;
    }
    b->m = m;
    b->index = index;
    b->p = *p;
    if ((b->w = mem_array(b->p.nops, sizeof *b->w, e)) &&
        (b->narrow = mem_array(b->p.nops, sizeof *b->narrow, e)) &&
        (b->kept = mem_array(b->p.nslots, sizeof *b->kept, e)) &&
        (b->offset = mem_array(b->p.nslots, sizeof *b->offset, e)) &&
        (b->groups = mem_array(b->p.nslots, sizeof *b->groups, e)) && load_others(b, e) == 0)
        return b;
    block_close(&b);
    return NULL;
}

struct block *block_open(struct model *m, size_t index, struct err *e)
{
    struct program p;

    if (index >= m->c.layers && index < m->sites.blocks)
        return block_open_tower(m, index - m->c.layers, e);
    if (index >= m->c.layers) {
        err_set(e, ERR_USE, "%s: no block %zu, the model has %zu", m->dir, index, m->c.layers);
        return NULL;
    }
    if (family_program(&m->c, index, &p, e) == 0)
        return block_of(m, index, &p, e);
    program_release(&p);
    return NULL;
}

struct block *block_open_tower(struct model *m, size_t index, struct err *e)
{
    struct program p;

    if (vision_program(m->c.vision, index, &p, e) == 0)
        return block_of(m, index, &p, e);
    program_release(&p);
    return NULL;
}

void block_close(struct block **bp)
{
    struct block *b = *bp;

    if (!b)
        return;
    for (size_t i = 0; b->w && i < b->p.nops; i++)
        free(b->w[i]);
    for (size_t i = 0; b->narrow && i < b->p.nops; i++)
        weights16_release(&b->narrow[i]);
    for (size_t i = 0; b->groups && i < b->p.nslots; i++)
        op_groups_release(&b->groups[i]);
    free(b->w);
    free(b->narrow);
    free(b->kept);
    free(b->offset);
    free(b->groups);
    program_release(&b->p);
    free(b);
    *bp = NULL;
}

void block_set_exact(struct block *b)
{
    b->exact = 1;
}

/* ---- linears of sites ---- */

static int linear_at(const struct block *b, size_t site, size_t i, size_t *at, struct err *e)
{
    const struct op *o = site < b->p.nsites ? program_linear_of(&b->p, site, i) : NULL;

    if (!o)
        return err_set(e, ERR_USE, "block %zu: site %s has no linear %zu", b->index,
                       site < b->p.nsites ? b->p.site[site].name : "past the end", i);
    *at = (size_t)(o - b->p.op);
    return 0;
}

/* w or narrow takes the place of what was there, or both do. */
static void replace(struct block *b, size_t at, float *w, struct weights16 narrow)
{
    free(b->w[at]);
    weights16_release(&b->narrow[at]);
    b->w[at] = w;
    b->narrow[at] = narrow;
}

/* What products want of the weights that are there in f32. */
static int narrow_one(const struct block *b, size_t at, const float *w, struct weights16 *narrow,
                      struct err *e)
{
    const struct op_tensor *t = &b->p.op[at].tensor[0];

    if (b->m->products == PRODUCTS_F32)
        return 0;
    return weights16_round(narrow, b->m->par, (size_t)t->shape[0], (size_t)t->shape[1],
                           b->m->products == PRODUCTS_BF16X2, w, e) < 0
               ? err_prefix(e, "'%s'", t->name)
               : 0;
}

/* Of what was loaded or set: all that the model has of it. */
static int settle(struct block *b, size_t at, float *w, struct weights16 narrow, struct err *e)
{
    if (w && narrow_one(b, at, w, &narrow, e) < 0) {
        weights16_release(&narrow);
        free(w);
        return -1;
    }
    replace(b, at, w, narrow);
    return 0;
}

/* Are they in bf16 alone? */
static int only_narrow(const struct block *b)
{
    return b->m->products != PRODUCTS_F32 && !b->m->learns;
}

int block_load_linear(struct block *b, size_t site, size_t i, struct err *e)
{
    struct weights16 narrow = {0};
    float *w = NULL;
    size_t at;

    if (linear_at(b, site, i, &at, e) < 0 ||
        (only_narrow(b) ? model_load_narrow(b->m, &b->p.op[at].tensor[0],
                                            b->m->products == PRODUCTS_BF16X2, &narrow, e)
                        : model_load_tensor(b->m, &b->p.op[at].tensor[0], &w, e)) < 0)
        return -1;
    return settle(b, at, w, narrow, e);
}

int block_load_site(struct block *b, size_t site, struct err *e)
{
    for (size_t i = 0; site < b->p.nsites && i < b->p.site[site].count; i++)
        if (block_load_linear(b, site, i, e) < 0)
            return -1;
    return 0;
}

int block_load_all(struct block *b, struct err *e)
{
    for (size_t s = 0; s < b->p.nsites; s++)
        if (block_load_site(b, s, e) < 0)
            return -1;
    return 0;
}

int block_set_linear(struct block *b, size_t site, size_t i, const struct weights_source *from,
                     struct err *e)
{
    struct weights16 narrow = {0};
    float *w = NULL;
    size_t at, N, K;

    if (linear_at(b, site, i, &at, e) < 0)
        return -1;
    N = (size_t)b->p.op[at].tensor[0].shape[0];
    K = (size_t)b->p.op[at].tensor[0].shape[1];
    if (only_narrow(b)
            ? weights16_make(&narrow, N, K, b->m->products == PRODUCTS_BF16X2, from, e) < 0
            : !(w = mem_raw(N * K, sizeof *w, e)) || from->rows(from->ctx, 0, N, w, e) < 0) {
        free(w);
        return -1;
    }
    return settle(b, at, w, narrow, e);
}

float *block_linear(const struct block *b, size_t site, size_t i)
{
    const struct op *o = site < b->p.nsites ? program_linear_of(&b->p, site, i) : NULL;

    return o ? b->w[o - b->p.op] : NULL;
}

int block_written(struct block *b, struct err *e)
{
    for (size_t i = 0; i < b->p.nops; i++)
        if (is_of_site(&b->p.op[i]) && b->w[i] && narrow_one(b, i, b->w[i], &b->narrow[i], e) < 0)
            return -1;
    return 0;
}

static void drop_before(struct block *b, size_t end)
{
    for (size_t i = 0; i < end; i++)
        if (is_of_site(&b->p.op[i]))
            replace(b, i, NULL, (struct weights16){0});
}

void block_drop_all(struct block *b)
{
    drop_before(b, b->p.nops);
}

void block_drop_done(struct block *b, size_t stop)
{
    drop_before(b, program_stop_at(&b->p, stop));
}

const struct rope *block_rope(struct block *b, const struct op *o, const struct rows *r,
                              const size_t *lengths, struct err *e)
{
    const struct rows_seen *seen = o->rope.spec.axes ? r->seen : NULL;

    return seen && seen->axis ? model_rope(b->m, &o->rope.spec, &seen->reach, 1, e)
                              : model_rope(b->m, &o->rope.spec, lengths, r->nseq, e);
}

/* ---- stops ---- */

size_t block_stops(const struct block *b)
{
    return b->p.nstops;
}

int block_step_writes(const struct block *b, size_t stop)
{
    for (size_t i = stop ? program_stop_at(&b->p, stop - 1) : 0; i < program_stop_at(&b->p, stop);
         i++)
        if (program_is_held(&b->p, b->p.op[i].out))
            return 1;
    return 0;
}

size_t block_kept(const struct block *b, size_t stop, size_t T, enum dtype rows)
{
    return program_kept(&b->p, stop, T, dtype_size(rows));
}
