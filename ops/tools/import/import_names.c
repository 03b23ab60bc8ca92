/* SPDX-License-Identifier: Apache-2.0 */
/* import_names - the tensors of a checkpoint out of a GGUF file (gguf_names.h), each with the shape
 * that it must have.
 *
 * A tensor that is not in the table is refused: it would be part of the mathematics that the
 * checkpoint then lacks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../../common/base/mem.h"
#include "../../../common/model/gguf_names.h"
#include "import.h"

struct tensor_list {
    const struct gguf *g;
    const struct import_model *m;
    struct import_tensor *tensors;
    size_t count;
    unsigned char *used; /* per entry of the file */
};

static uint64_t size_of(const struct import_model *m, enum gguf_size s)
{
    switch (s) {
    case GGUF_SIZE_D:
        return (uint64_t)m->d;
    case GGUF_SIZE_Q:
        return (uint64_t)(m->heads * m->head_dim);
    case GGUF_SIZE_KV:
        return (uint64_t)(m->kv_heads * m->head_dim);
    case GGUF_SIZE_FF:
        return (uint64_t)m->ff;
    case GGUF_SIZE_HEAD:
        return (uint64_t)m->head_dim;
    case GGUF_SIZE_VOCAB:
        return (uint64_t)m->vocab;
    case GGUF_SIZE_NONE:
        break;
    }
    return 0;
}

static int applies(const struct import_model *m, enum gguf_when w)
{
    switch (w) {
    case GGUF_UNTIED:
        return !m->tied;
    case GGUF_ATTENTION_BIAS:
        return m->attention_bias;
    case GGUF_OUT_BIAS:
        return m->out_bias;
    case GGUF_MLP_BIAS:
        return m->mlp_bias;
    case GGUF_QK_NORM:
        return m->family == IMPORT_QWEN3;
    case GGUF_ALWAYS:
        break;
    }
    return 1;
}

static int add(struct tensor_list *l, const struct gguf_name *r, const char *from, const char *to,
               struct err *e)
{
    const struct gguf_entry *x = gguf_find(l->g, from);
    struct import_tensor *t = &l->tensors[l->count++];

    if (!x)
        return err_set(e, ERR_USE, "%s: tensor '%s' is missing", l->g->path, from);
    memcpy(t->name, to, strlen(to) + 1);
    t->from = x;
    t->ndim = r->columns == GGUF_SIZE_NONE ? 1 : 2;
    t->shape[0] = size_of(l->m, r->rows);
    t->shape[1] = size_of(l->m, r->columns);
    t->head_rows = r->rope && l->m->permuted ? (uint64_t)l->m->head_dim : 0;
    if (x->ndim != t->ndim || x->shape[0] != t->shape[0] ||
        (t->ndim == 2 && x->shape[1] != t->shape[1])) {
        char have[128], want[128];

        tensor_shape_text(x->ndim, x->shape, have, sizeof have);
        tensor_shape_text(t->ndim, t->shape, want, sizeof want);
        return err_set(e, ERR_USE, "%s: tensor '%s' has shape %s, the metadata say %s", l->g->path,
                       from, have, want);
    }
    l->used[x - l->g->entries] = 1;
    return 0;
}

static int collect(struct tensor_list *l, struct err *e)
{
    char from[TENSOR_NAME], to[TENSOR_NAME];
    const struct gguf_name *r;

    for (size_t i = 0; (r = gguf_name_model(i)); i++)
        if (applies(l->m, r->when) && add(l, r, r->file, r->model, e))
            return -1;
    for (int64_t n = 0; n < l->m->layers; n++)
        for (size_t i = 0; (r = gguf_name_block(i)); i++) {
            snprintf(from, sizeof from, "blk.%lld.%s", (long long)n, r->file);
            snprintf(to, sizeof to, "model.layers.%lld.%s", (long long)n, r->model);
            if (applies(l->m, r->when) && add(l, r, from, to, e))
                return -1;
        }
    return 0;
}

static int rest_check(const struct tensor_list *l, struct err *e)
{
    for (size_t i = 0; i < l->g->count; i++) {
        const char *name = l->g->entries[i].name;

        if (l->used[i] || (l->m->permuted && strcmp(name, "rope_freqs.weight") == 0))
            continue;
        return err_set(e, ERR_USE,
                       "%s: tensor '%s' is not part of a %s model of %lld blocks; this kind of "
                       "model cannot be imported",
                       l->g->path, name, l->m->arch, (long long)l->m->layers);
    }
    return 0;
}

int import_names(const struct gguf *g, const struct import_model *m, struct import_tensor **list,
                 size_t *count, struct err *e)
{
    struct tensor_list l = {g, m, NULL, 0, NULL};
    size_t block = 0, whole = 0;
    int rc = -1;

    *list = NULL;
    *count = 0;
    while (gguf_name_block(block))
        block++;
    while (gguf_name_model(whole))
        whole++;
    l.tensors = mem_array((size_t)m->layers * block + whole, sizeof *l.tensors, e);
    l.used = l.tensors ? mem_array(g->count + 1, 1, e) : NULL;
    if (!l.used || collect(&l, e) || rest_check(&l, e))
        goto out;
    *list = l.tensors;
    *count = l.count;
    l.tensors = NULL;
    rc = 0;
out:
    free(l.used);
    free(l.tensors);
    return rc;
}
