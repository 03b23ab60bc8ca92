/* SPDX-License-Identifier: Apache-2.0 */
/* rotate_plan - which tensor of a checkpoint becomes what. */
#include "rotate_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../../common/base/mem.h"
#include "../../../common/model/family.h"
#include "../../../common/model/residual.h"

/* A tensor that belongs to no linear but is harmless: the frequencies of the positions, which
 * old checkpoints store. */
#define FREQUENCIES ".rotary_emb.inv_freq"

static const struct st_entry *source(const struct model *m, const char *name, struct err *e)
{
    const struct st_entry *x = st_find(model_tensors(m), name);

    if (!x)
        err_set(e, ERR_USE, "tensor '%s' is missing", name);
    return x;
}

static int item_add(struct rotate_plan *p, const char *name, const struct st_entry *from,
                    const struct st_entry *fold, enum rotate_action action, struct err *e)
{
    struct rotate_item *x = &p->item[p->count];

    if (!from)
        return -1;
    if (strlen(name) >= sizeof x->name)
        return err_set(e, ERR_USE, "tensor '%s': the name is too long", name);
    strcpy(x->name, name);
    x->from = from;
    x->fold = fold;
    x->action = action;
    p->count++;
    return 0;
}

struct planning {
    struct rotate_plan *p;
    const struct model *m;
};

/* Linears that are cut from one tensor do the same with the stream. */
static int is_planned(const struct rotate_plan *p, const char *name)
{
    return p->count && strcmp(p->item[p->count - 1].name, name) == 0;
}

static int tensor_add(void *ctx, const struct residual_tensor *t, struct err *e)
{
    static const enum rotate_action action[] = {[RESIDUAL_APART] = ROTATE_KEEP,
                                                [RESIDUAL_NORM] = ROTATE_ONES,
                                                [RESIDUAL_READS] = ROTATE_ROWS,
                                                [RESIDUAL_WRITES] = ROTATE_COLUMNS,
                                                [RESIDUAL_JOINS] = ROTATE_ROWS};
    const struct planning *x = ctx;
    const struct st_set *set = model_tensors(x->m);
    const char *name = t->whole && !st_find(set, t->name) ? t->whole : t->name;
    const struct st_entry *from = st_find(set, name), *fold = NULL;

    if ((t->optional && !from) || is_planned(x->p, name))
        return 0;
    if (!from)
        return err_set(e, ERR_USE, "tensor '%s' is missing", name);
    if (from->ndim > 2)
        return err_set(e, ERR_USE, "tensor '%s' holds stacked matrices: those are not rotated",
                       name);
    if (t->norm && !(fold = source(x->m, t->norm, e)))
        return -1;
    return item_add(x->p, name, from, fold, action[t->role], e);
}

static int block_add(struct rotate_plan *p, const struct model *m, size_t block, struct err *e)
{
    struct planning x = {p, m};

    return residual_tensors(model_config(m), block, tensor_add, &x, e);
}

/* A tied matrix may be stored under either name, or both; it becomes two. */
static int ends_add(struct rotate_plan *p, const struct model *m, struct err *e)
{
    const struct family *f = family_of(model_config(m));
    char embed[TENSOR_NAME], head[TENSOR_NAME], norm[TENSOR_NAME];
    const struct st_entry *in, *out, *last;

    snprintf(embed, sizeof embed, "%s.weight", f->embed);
    snprintf(head, sizeof head, "%s.weight", f->head);
    snprintf(norm, sizeof norm, "%s.weight", f->final_norm);
    in = st_find(model_tensors(m), embed);
    if (!in && model_config(m)->tied)
        in = st_find(model_tensors(m), head);
    out = model_config(m)->tied ? in : source(m, head, e);
    last = source(m, norm, e);
    if (!in)
        return err_set(e, ERR_USE, "tensor '%s' is missing", embed);
    return !last || item_add(p, embed, in, NULL, ROTATE_ROWS, e) ||
                   item_add(p, norm, last, NULL, ROTATE_ONES, e) ||
                   item_add(p, head, out, last, ROTATE_ROWS, e)
               ? -1
               : 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct rotate_item *)a)->name, ((const struct rotate_item *)b)->name);
}

/* What is not known might read or write the stream. */
static int strangers_add(struct rotate_plan *p, const struct model *m, struct err *e)
{
    const struct st_set *st = model_tensors(m);
    const size_t known = p->count, n = strlen(FREQUENCIES);
    struct rotate_item key;

    qsort(p->item, known, sizeof *p->item, by_name);
    for (size_t i = 0; i < st->count; i++) {
        const char *name = st->entries[i].name;

        strcpy(key.name, name);
        if (bsearch(&key, p->item, known, sizeof key, by_name))
            continue;
        if (strlen(name) < n || strcmp(name + strlen(name) - n, FREQUENCIES) != 0)
            return err_set(e, ERR_USE,
                           "tensor '%s' is none of the architecture's: what a rotation does to it "
                           "is not known",
                           name);
        if (item_add(p, name, &st->entries[i], NULL, ROTATE_KEEP, e))
            return -1;
    }
    return 0;
}

int rotate_plan_make(const struct model *m, struct rotate_plan *p, struct err *e)
{
    memset(p, 0, sizeof *p);
    /* Every item but the head of a tied model has a tensor of its own. */
    p->item = mem_array(model_tensors(m)->count + 1, sizeof *p->item, e);
    if (!p->item || ends_add(p, m, e))
        goto fail;
    for (size_t b = 0; b < model_config(m)->layers; b++)
        if (block_add(p, m, b, e))
            goto fail;
    if (strangers_add(p, m, e) == 0)
        return 0;
fail:
    rotate_plan_release(p);
    return -1;
}

void rotate_plan_release(struct rotate_plan *p)
{
    free(p->item);
    memset(p, 0, sizeof *p);
}
