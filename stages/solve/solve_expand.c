/* SPDX-License-Identifier: Apache-2.0 */
/* solve_expand - see solve_expand.h. */
#include "solve_expand.h"

#include "../../common/base/mem.h"

#define MIRROR 32

int expand_check(const struct msg *m, const struct tensor *t, struct err *e)
{
    const size_t bad = t ? tensor_count_bad(t) : 0;

    if (bad)
        return err_set(e, ERR_DATA, "%s: tensor '%s' holds %zu NaN or infinite values", m->id,
                       t->name, bad);
    return 0;
}

void expand_drop(struct msg *m, const struct tensor *t)
{
    for (size_t i = 0; i < m->ntensors; i++)
        if (&m->tensors[i] == t && t->release) {
            m->tensors[i].release(m->tensors[i].owner);
            m->tensors[i].release = NULL;
            m->tensors[i].data = NULL;
            m->tensors[i].bytes = 0;
        }
}

static void mirror(size_t K, double *H)
{
    for (size_t i0 = 0; i0 < K; i0 += MIRROR)
        for (size_t j0 = 0; j0 <= i0; j0 += MIRROR)
            for (size_t i = i0; i < K && i < i0 + MIRROR; i++)
                for (size_t j = j0; j < i && j < j0 + MIRROR; j++)
                    H[j * K + i] = H[i * K + j];
}

static int expand_h(struct msg *m, size_t K, const struct problem_sums *s, double *H, struct err *e)
{
    const size_t size = dtype_size(s->S->dtype);
    const double scale = s->sum_w > 0.0 ? 1.0 / s->sum_w : 1.0;
    size_t at = 0;

    for (size_t i = 0; i < K; at += ++i) {
        double *row = H + i * K;

        dtype_to_f64(s->S->dtype, (const char *)s->S->data + at * size, i + 1, row);
        for (size_t j = 0; j <= i; j++)
            row[j] *= scale;
        if (row[i] < 0.0)
            return err_set(e, ERR_DATA, "%s: %s[%zu,%zu] is negative: not a sum of squares", m->id,
                           s->S->name, i, i);
    }
    expand_drop(m, s->S);
    mirror(K, H);
    return 0;
}

int expand_sums(struct msg *m, size_t K, const struct problem_sums *s, double **H, double **D,
                struct err *e)
{
    size_t cells;

    if (mem_mul(K, K, &cells))
        return err_set(e, ERR_SYS, "%s: a %zu x %zu matrix does not fit into memory", m->id, K, K);
    *H = mem_raw(cells, sizeof **H, e);
    if (!*H || expand_h(m, K, s, *H, e))
        return -1;
    if (!s->D || s->tokens == 0)
        return 0;
    *D = mem_raw(cells, sizeof **D, e);
    if (!*D)
        return -1;
    dtype_to_f64(s->D->dtype, s->D->data, cells, *D);
    for (size_t i = 0; i < cells; i++)
        (*D)[i] /= s->sum_w;
    expand_drop(m, s->D);
    return 0;
}
