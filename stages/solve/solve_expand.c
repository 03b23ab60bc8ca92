/* SPDX-License-Identifier: Apache-2.0 */
/* solve_expand - see solve_expand.h. */
#include "solve_expand.h"

#include <stdatomic.h>
#include <stdlib.h>
#include "../../common/base/mem.h"

#define MIRROR 32

#define SPAN ((size_t)1 << 17) /* numbers that are looked at by one thread */

struct looking {
    const struct tensor *t;
    atomic_size_t bad;
};

static int look(void *ctx, size_t span, size_t worker, struct err *e)
{
    struct looking *l = ctx;
    const size_t from = span * SPAN, all = tensor_elements(l->t);
    struct tensor part = *l->t;

    (void)worker;
    (void)e;
    part.ndim = 1;
    part.shape[0] = all - from < SPAN ? all - from : SPAN;
    part.bytes = part.shape[0] * dtype_size(part.dtype);
    part.data = (char *)part.data + from * dtype_size(part.dtype);
    atomic_fetch_add(&l->bad, tensor_count_bad(&part));
    return 0;
}

int expand_check(const struct msg *m, const struct tensor *t, struct par *par, struct err *e)
{
    struct looking l = {.t = t};

    if (!t)
        return 0;
    if (par_for(par, (tensor_elements(t) + SPAN - 1) / SPAN, look, &l, e))
        return -1;
    if (l.bad)
        return err_set(e, ERR_USE, "%s: tensor '%s' holds %zu NaN or infinite values", m->id,
                       t->name, (size_t)l.bad);
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

/* What H is made of. Bands of EXPAND_BLOCK rows are filled side by side. */
struct filling {
    const struct msg *m;
    size_t K;
    const struct expand_part *part;
    size_t parts;
    double scale;
    enum expand_how how;
    double *H, *scratch; /* [threads, K], for more than one part */
};

static size_t bands(size_t K)
{
    return (K + EXPAND_BLOCK - 1) / EXPAND_BLOCK;
}

/* One band of columns, from the rows that are filled. */
static int mirror_band(void *ctx, size_t band, size_t worker, struct err *e)
{
    const struct filling *f = ctx;
    const size_t K = f->K, first = band * EXPAND_BLOCK;
    double *H = f->H;

    (void)worker;
    (void)e;
    for (size_t i0 = first; i0 < K && i0 < first + EXPAND_BLOCK; i0 += MIRROR)
        for (size_t j0 = f->how == EXPAND_HALF ? first : 0; j0 <= i0; j0 += MIRROR)
            for (size_t i = i0; i < K && i < i0 + MIRROR; i++)
                for (size_t j = j0; j < i && j < j0 + MIRROR; j++)
                    H[j * K + i] = H[i * K + j];
    return 0;
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

/* The longest rows first. */
static int fill_band(void *ctx, size_t index, size_t worker, struct err *e)
{
    const struct filling *f = ctx;
    const size_t K = f->K, first = (bands(K) - 1 - index) * EXPAND_BLOCK;

    for (size_t i = first; i < K && i < first + EXPAND_BLOCK; i++) {
        double *row = f->H + i * K, *scratch = f->scratch ? f->scratch + worker * K : NULL;

        add_parts(f->part, f->parts, 0, i * (i + 1) / 2, i + 1, row, scratch);
        for (size_t j = 0; j <= i; j++)
            row[j] *= f->scale;
        if (row[i] < 0.0)
            return err_set(e, ERR_USE, "%s: tensor '%s'[%zu,%zu] is negative: not a sum of squares",
                           f->m->id, f->part[0].S->name, i, i);
    }
    return 0;
}

static int expand_h(struct filling *f, double sum_w, struct par *par, struct err *e)
{
    f->scale = sum_w > 0.0 ? 1.0 / sum_w : 1.0;
    return par_for(par, bands(f->K), fill_band, f, e) ||
                   par_for(par, bands(f->K), mirror_band, f, e)
               ? -1
               : 0;
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
                struct par *par, double **H, double **D, struct err *e)
{
    const struct expand_part all = {s->S, s->D, 1.0};
    struct filling f = {.m = m, .K = K, .part = &all, .parts = 1, .how = how};

    if (square_alloc(m, K, how, H, e))
        return -1;
    f.H = *H;
    if (expand_h(&f, s->sum_w, par, e))
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
               struct par *par, double **H, double **D, struct err *e)
{
    struct filling f = {.m = m, .K = K, .part = part, .parts = n, .how = EXPAND_WHOLE};
    int rc = -1, with_d = 1;

    for (size_t p = 0; p < n; p++)
        with_d &= part[p].D != NULL;
    f.scratch = mem_array(par ? par_threads(par) : 1, K * sizeof *f.scratch, e);
    if (!f.scratch || square_alloc(m, K, EXPAND_WHOLE, H, e))
        goto out;
    f.H = *H;
    if (expand_h(&f, sum_w, par, e) || (with_d && square_alloc(m, K, EXPAND_WHOLE, D, e)))
        goto out;
    for (size_t i = 0; with_d && i < K; i++) {
        double *row = *D + i * K;

        add_parts(part, n, 1, i * K, K, row, f.scratch);
        for (size_t j = 0; j < K; j++)
            row[j] /= sum_w;
    }
    rc = 0;
out:
    free(f.scratch);
    return rc;
}
