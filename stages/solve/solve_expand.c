/* SPDX-License-Identifier: Apache-2.0 */
/* solve_expand - see solve_expand.h. */
#include "solve_expand.h"

#include <stdlib.h>
#include "../../common/base/mem.h"

#define MIRROR 32

int expand_check(const struct msg *m, const struct tensor *t, struct err *e)
{
    const size_t bad = t ? tensor_count_bad(t) : 0;

    if (bad)
        return err_set(e, ERR_USE, "%s: tensor '%s' holds %zu NaN or infinite values", m->id,
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

_Static_assert(EXPAND_BLOCK % MIRROR == 0, "blocks on the diagonal are mirrored whole");

static void mirror(size_t K, enum expand_how how, double *H)
{
    for (size_t i0 = 0; i0 < K; i0 += MIRROR)
        for (size_t j0 = how == EXPAND_HALF ? i0 / EXPAND_BLOCK * EXPAND_BLOCK : 0; j0 <= i0;
             j0 += MIRROR)
            for (size_t i = i0; i < K && i < i0 + MIRROR; i++)
                for (size_t j = j0; j < i && j < j0 + MIRROR; j++)
                    H[j * K + i] = H[i * K + j];
}

/* n values of a tensor from place at on */
static void widen(const struct tensor *t, size_t at, size_t n, double *to)
{
    dtype_to_f64(t->dtype, (const char *)t->data + at * dtype_size(t->dtype), n, to);
}

/* to = sum of factor x values; scratch [n] is needed for more than one part */
static void add_parts(const struct expand_part *part, size_t parts, int drift, size_t at, size_t n,
                      double *to, double *scratch)
{
    for (size_t p = 0; p < parts; p++) {
        const struct tensor *t = drift ? part[p].D : part[p].S;

        widen(t, at, n, p ? scratch : to);
        for (size_t i = 0; i < n; i++)
            to[i] = p ? to[i] + part[p].factor * scratch[i] : part[p].factor * to[i];
    }
}

static int expand_h(struct msg *m, size_t K, const struct expand_part *part, size_t parts,
                    double sum_w, enum expand_how how, double *H, double *scratch, struct err *e)
{
    const double scale = sum_w > 0.0 ? 1.0 / sum_w : 1.0;
    size_t at = 0;

    for (size_t i = 0; i < K; at += ++i) {
        double *row = H + i * K;

        add_parts(part, parts, 0, at, i + 1, row, scratch);
        for (size_t j = 0; j <= i; j++)
            row[j] *= scale;
        if (row[i] < 0.0)
            return err_set(e, ERR_USE, "%s: tensor '%s'[%zu,%zu] is negative: not a sum of squares",
                           m->id, part[0].S->name, i, i);
    }
    mirror(K, how, H);
    return 0;
}

static int square_alloc(const struct msg *m, size_t K, enum expand_how how, double **to,
                        struct err *e)
{
    size_t cells;

    if (mem_mul(K, K, &cells))
        return err_set(e, ERR_SYS, "%s: a %zu x %zu matrix does not fit into memory", m->id, K, K);
    *to = (how == EXPAND_WHOLE ? mem_raw : mem_sparse)(cells, sizeof **to, e);
    return *to ? 0 : -1;
}

int expand_sums(struct msg *m, size_t K, const struct problem_sums *s, enum expand_how how,
                double **H, double **D, struct err *e)
{
    const struct expand_part all = {s->S, s->D, 1.0};

    if (square_alloc(m, K, how, H, e) || expand_h(m, K, &all, 1, s->sum_w, how, *H, NULL, e))
        return -1;
    expand_drop(m, s->S);
    if (!s->D || s->sum_w == 0)
        return 0;
    if (square_alloc(m, K, EXPAND_WHOLE, D, e))
        return -1;
    widen(s->D, 0, K * K, *D);
    for (size_t i = 0; i < K * K; i++)
        (*D)[i] /= s->sum_w;
    expand_drop(m, s->D);
    return 0;
}

int expand_mix(struct msg *m, size_t K, const struct expand_part *part, size_t n, double sum_w,
               double **H, double **D, struct err *e)
{
    double *scratch = mem_raw(K, sizeof *scratch, e);
    int rc = -1, with_d = 1;

    for (size_t p = 0; p < n; p++)
        with_d &= part[p].D != NULL;
    if (!scratch || square_alloc(m, K, EXPAND_WHOLE, H, e) ||
        expand_h(m, K, part, n, sum_w, EXPAND_WHOLE, *H, scratch, e) ||
        (with_d && square_alloc(m, K, EXPAND_WHOLE, D, e)))
        goto out;
    for (size_t i = 0; with_d && i < K; i++) {
        double *row = *D + i * K;

        add_parts(part, n, 1, i * K, K, row, scratch);
        for (size_t j = 0; j < K; j++)
            row[j] /= sum_w;
    }
    rc = 0;
out:
    free(scratch);
    return rc;
}
