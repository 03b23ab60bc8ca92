/* SPDX-License-Identifier: Apache-2.0 */
/* gguf_tensors - the tensors of a checkpoint out of a GGUF file (gguf_names.h), each with the shape
 * that it must have.
 *
 * A tensor that is not in the table is refused: it would be part of the mathematics that the
 * checkpoint then lacks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../base/mem.h"
#include "gguf_folder.h"

struct tensor_list {
    const struct gguf *g;
    const struct gguf_info *m;
    struct gguf_tensor *tensors;
    size_t count, cap;
    unsigned char *used; /* per entry of the file */
};

static uint64_t size_of(const struct gguf_info *m, enum gguf_size s)
{
    switch (s) {
    case GGUF_SIZE_D:
        return (uint64_t)m->d;
    case GGUF_SIZE_Q:
        return (uint64_t)(m->heads * m->head_dim);
    case GGUF_SIZE_KV:
        return (uint64_t)(m->kv_heads * m->head_dim);
    case GGUF_SIZE_QKV:
        return (uint64_t)((m->heads + 2 * m->kv_heads) * m->head_dim);
    case GGUF_SIZE_FF:
        return (uint64_t)m->ff;
    case GGUF_SIZE_FF2:
        return (uint64_t)m->ff * 2;
    case GGUF_SIZE_HEAD:
        return (uint64_t)m->head_dim;
    case GGUF_SIZE_VOCAB:
        return (uint64_t)m->vocab;
    case GGUF_SIZE_EXPERTS:
        return (uint64_t)m->experts;
    case GGUF_SIZE_EXPERT_FF:
        return (uint64_t)m->expert_ff;
    case GGUF_SIZE_NONE:
        break;
    }
    return 0;
}

static int applies(const struct gguf_info *m, const struct gguf_name *r)
{
    switch (r->when) {
    case GGUF_UNTIED:
        return !m->tied;
    case GGUF_ATTENTION_BIAS:
        return m->attention_bias;
    case GGUF_OUT_BIAS:
        return m->out_bias;
    case GGUF_MLP_BIAS:
        return m->mlp_bias;
    case GGUF_QK_NORM:
        return m->arch->qk_norm;
    case GGUF_ALWAYS:
        break;
    }
    return 1;
}

/* matrices: of experts, which stand in one tensor of the file; 0: it is no expert's. */
static int shape_check(const struct gguf *g, const struct gguf_entry *x,
                       const struct gguf_tensor *t, uint64_t matrices, struct err *e)
{
    const int ndim = t->ndim + (matrices != 0);
    const uint64_t shape[3] = {matrices ? matrices : t->shape[0],
                               matrices ? t->shape[0] : t->shape[1], t->shape[1]};
    char have[128], want[128];

    if (x->ndim == ndim && memcmp(x->shape, shape, (size_t)ndim * sizeof *shape) == 0)
        return 0;
    tensor_shape_text(x->ndim, x->shape, have, sizeof have);
    tensor_shape_text(ndim, shape, want, sizeof want);
    return err_set(e, ERR_USE, "%s: tensor '%s' has shape %s, the metadata say %s", g->path,
                   x->name, have, want);
}

/* expert -1: it is of none. */
static int add(struct tensor_list *l, const struct gguf_name *r, int64_t block, int64_t expert,
               struct err *e)
{
    const char *star = strchr(r->model, '*');
    const uint64_t matrices = star ? (uint64_t)l->m->experts : 0;
    char from[TENSOR_NAME], head[48] = "";
    const struct gguf_entry *x;
    struct gguf_tensor *t;

    if (mem_grow((void **)&l->tensors, &l->cap, l->count + 1, sizeof *l->tensors, e) < 0)
        return -1;
    t = &l->tensors[l->count++];
    *t = (struct gguf_tensor){.ndim = r->columns == GGUF_SIZE_NONE ? 1 : 2};
    if (block >= 0)
        snprintf(head, sizeof head, "model.layers.%lld.", (long long)block);
    if (star)
        snprintf(t->name, sizeof t->name, "%s%.*s%lld%s", head, (int)(star - r->model), r->model,
                 (long long)expert, star + 1);
    else
        snprintf(t->name, sizeof t->name, "%s%s", head, r->model);
    if (block >= 0)
        snprintf(head, sizeof head, "blk.%lld.", (long long)block);
    snprintf(from, sizeof from, "%s%s", head, r->file);
    if (!(t->from = x = gguf_find(l->g, from)))
        return err_set(e, ERR_USE, "%s: tensor '%s' is missing", l->g->path, from);
    t->shape[0] = size_of(l->m, r->rows);
    t->shape[1] = size_of(l->m, r->columns);
    t->first = star ? (uint64_t)expert * t->shape[0] : 0;
    t->head_rows = r->rope && l->m->arch->woven ? (uint64_t)l->m->head_dim : 0;
    t->shift = gguf_name_is_norm(r) ? l->m->arch->norm_shift : 0;
    l->used[x - l->g->entries] = 1;
    return shape_check(l->g, x, t, matrices, e) || gguf_check(l->g, x, e) ? -1 : 0;
}

static int collect(struct tensor_list *l, struct err *e)
{
    const struct gguf_name *r;

    for (size_t i = 0; (r = gguf_name_model(i)); i++)
        if (applies(l->m, r) && add(l, r, -1, -1, e))
            return -1;
    for (int64_t n = 0; n < l->m->layers; n++)
        for (size_t i = 0; (r = gguf_name_block(l->m->arch, i)); i++) {
            const int64_t experts = strchr(r->model, '*') ? l->m->experts : 0;

            if (!applies(l->m, r))
                continue;
            if (!experts && add(l, r, n, -1, e))
                return -1;
            for (int64_t k = 0; k < experts; k++)
                if (add(l, r, n, k, e))
                    return -1;
        }
    return 0;
}

static int rest_check(const struct tensor_list *l, struct err *e)
{
    for (size_t i = 0; i < l->g->count; i++) {
        const char *name = l->g->entries[i].name;

        if (l->used[i] || (l->m->arch->factors && strcmp(name, GGUF_ROPE_FACTORS) == 0) ||
            &l->g->entries[i] == l->m->rope_long || &l->g->entries[i] == l->m->rope_short)
            continue;
        return err_set(e, ERR_USE,
                       "%s: tensor '%s' is not part of a %s model of %lld blocks; this kind of "
                       "model cannot be read",
                       l->g->path, name, l->m->arch->name, (long long)l->m->layers);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct gguf_tensor *)a)->name, ((const struct gguf_tensor *)b)->name);
}

int gguf_tensors(const struct gguf *g, const struct gguf_info *m, struct gguf_tensor **list,
                 size_t *count, struct err *e)
{
    struct tensor_list l = {.g = g, .m = m};
    int rc = -1;

    *list = NULL;
    *count = 0;
    if ((l.used = mem_array(g->count + 1, 1, e)) && collect(&l, e) == 0 && rest_check(&l, e) == 0) {
        qsort(l.tensors, l.count, sizeof *l.tensors, by_name);
        *list = l.tensors;
        *count = l.count;
        l.tensors = NULL;
        rc = 0;
    }
    free(l.used);
    free(l.tensors);
    return rc;
}
