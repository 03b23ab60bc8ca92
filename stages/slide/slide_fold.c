/* SPDX-License-Identifier: Apache-2.0 */
/* slide_fold - see slide_fold.h. */
#include "slide_fold.h"

#include <stdlib.h>
#include "../../common/base/mem.h"

void slide_fold_release(struct slide_folded *f)
{
    for (size_t i = 0; i < f->count; i++)
        tensor_release(&f->t[i]);
    f->count = 0;
}

/* The tensor of the checkpoint as numbers, and another of its type and shape for new ones. */
static float *begin(const struct slide_block *b, const char *name, struct slide_folded *f,
                    struct err *e)
{
    const struct st_set *set = model_tensors(b->m);
    const struct st_entry *x = st_find(set, name);
    struct tensor *t = &f->t[f->count];
    float *v;

    if (!x) {
        err_set(e, ERR_USE, "there is no '%s' to take what is learned", name);
        return NULL;
    }
    if (tensor_alloc(t, name, x->dtype, x->ndim, x->shape, e) < 0)
        return NULL;
    f->count++;
    v = mem_raw(tensor_elements(t) + 1, sizeof *v, e);
    if (v && st_load_rows_f32(set, x, 0, x->shape[0], v, e) < 0) {
        free(v);
        return NULL;
    }
    return v;
}

static int put(struct tensor *t, const float *v, struct err *e)
{
    dtype_from_f32(t->dtype, v, tensor_elements(t), t->data);
    return tensor_count_bad(t) ? err_set(e, ERR_DATA,
                                         "'%s': a number that takes what is learned does not fit "
                                         "into %s: take a smaller --alpha-lr",
                                         t->name, dtype_name(t->dtype))
                               : 0;
}

/* What is 0, or would become 0, stays what it is. */
static int settle_norm(struct slide_block *b, const struct block_fold *fold,
                       struct slide_param *alpha, struct slide_folded *f, struct err *e)
{
    const double one = fold->one ? 1 : 0;
    float *old = begin(b, fold->norm, f, e), *new = old ? mem_raw(alpha->n, sizeof *new, e) : NULL;
    struct tensor *t = &f->t[0];
    int rc = -1;

    if (!new)
        goto out;
    for (size_t k = 0; k < alpha->n; k++)
        new[k] = (float)(((double)old[k] + one) / (double)alpha->x[k] - one);
    if (put(t, new, e) < 0)
        goto out;
    dtype_to_f32(t->dtype, t->data, alpha->n, new);
    for (size_t k = 0; k < alpha->n; k++) {
        const double was = (double)old[k] + one, is = (double)new[k] + one;

        alpha->x[k] = was != 0 && is != 0 ? (float)(was / is) : 1;
        new[k] = was != 0 && is != 0 ? new[k] : old[k];
    }
    rc = put(t, new, e);
out:
    free(new);
    free(old);
    return rc;
}

static int settle_reader(struct slide_block *b, const char *name, const struct slide_param *alpha,
                         struct slide_folded *f, struct err *e)
{
    struct tensor *t = &f->t[f->count];
    float *v = begin(b, name, f, e);
    const size_t n = v ? tensor_elements(t) : 0;
    int rc;

    for (size_t i = 0; i < n; i++)
        v[i] *= alpha->x[i % alpha->n];
    rc = v ? put(t, v, e) : -1;
    free(v);
    return rc;
}

int slide_fold_settle(struct slide_block *b, size_t i, struct slide_folded *f, struct err *e)
{
    const struct block_fold *fold = &b->fold[i];
    struct slide_param *alpha = &b->alpha[i];
    size_t k = 0;

    *f = (struct slide_folded){0};
    while (k < alpha->n && alpha->x[k] == 1)
        k++;
    if (k == alpha->n)
        return 0;
    if (settle_norm(b, fold, alpha, f, e) < 0)
        return -1;
    for (k = 0; k < fold->readers; k++)
        if (settle_reader(b, fold->reader[k], alpha, f, e) < 0)
            return -1;
    return 0;
}
