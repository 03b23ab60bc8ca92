/* SPDX-License-Identifier: Apache-2.0 */
/* solve_order - orders of columns: see solve_order.h. */
#include "solve_order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "../../common/tensor/blas.h"

#define PANEL 64

struct entry {
    double group_key, key;
    size_t group, column;
};

static int compare(const void *pa, const void *pb)
{
    const struct entry *a = pa, *b = pb;

    if (a->group_key > b->group_key || a->group_key < b->group_key)
        return a->group_key > b->group_key ? -1 : 1;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->key > b->key || a->key < b->key)
        return a->key > b->key ? -1 : 1;
    return a->column < b->column ? -1 : a->column > b->column;
}

struct pivoting {
    size_t K, slots; /* slots: eliminated columns whose effect on A is still to come */
    double *A;       /* [K,K] */
    double *L;       /* [PANEL][K] columns of the factor */
    double *left;    /* [K] pivots */
    uint8_t *taken;
};

/* Column c of the factor, from A and the columns of this panel. */
static void eliminate(struct pivoting *v, size_t c)
{
    double *column = v->L + v->slots * v->K, root;

    memcpy(column, v->A + c * v->K, v->K * sizeof *column);
    for (size_t i = 0; i < v->slots; i++) {
        const double *l = v->L + i * v->K, lc = l[c];
        for (size_t k = 0; k < v->K; k++)
            column[k] -= lc * l[k];
    }
    root = v->left[c] > 0.0 ? 1.0 / sqrt(v->left[c]) : 0.0;
    for (size_t k = 0; k < v->K; k++) {
        column[k] *= root;
        v->left[k] -= column[k] * column[k];
    }
    v->taken[c] = 1;
    v->slots++;
}

static int pivot_run(struct pivoting *v, size_t *order, struct par *p, struct err *e)
{
    const size_t K = v->K;

    for (size_t i = K; i-- > 0;) {
        size_t c = K;
        for (size_t k = 0; k < K; k++)
            if (!v->taken[k] && (c == K || v->left[k] < v->left[c]))
                c = k;
        order[i] = c;
        eliminate(v, c);
        if (v->slots < PANEL || i == 0)
            continue;
        if (blas_dgemm(p, 1, 0, K, K, v->slots, -1.0, v->L, K, v->L, K, 1.0, v->A, K, e))
            return -1;
        v->slots = 0;
    }
    return 0;
}

/* Unlike the others this order needs the matrix; what makes it indefinite is left to the
 * damping. */
static int order_pivot(const struct solve_opts *o, size_t K, const double *H, const double *diag,
                       size_t *order, struct par *p, struct err *e)
{
    struct pivoting v = {.K = K};
    double mean = 0.0;
    int rc = -1;

    v.A = mem_raw(K * K, sizeof *v.A, e);
    v.L = mem_raw(PANEL, K * sizeof *v.L, e);
    v.left = mem_array(K, sizeof *v.left, e);
    v.taken = mem_array(K, 1, e);
    if (!v.A || !v.L || !v.left || !v.taken)
        goto out;
    memcpy(v.A, H, K * K * sizeof *v.A);
    for (size_t k = 0; k < K; k++)
        mean += diag[k] / (double)K;
    for (size_t k = 0; k < K; k++)
        v.left[k] = v.A[k * K + k] = diag[k] + o->damp * mean;
    rc = pivot_run(&v, order, p, e);
out:
    free(v.A);
    free(v.L);
    free(v.left);
    free(v.taken);
    return rc;
}

int solve_order(const struct solve_opts *o, size_t K, const double *H, const double *diag,
                size_t *order, struct par *p, struct err *e)
{
    const size_t size = o->order == ORDER_GROUP && o->group > 0 ? (size_t)o->group : K;
    struct entry *list;

    for (size_t k = 0; k < K; k++)
        order[k] = k;
    if (o->order == ORDER_NONE)
        return 0;
    if (o->order == ORDER_PIVOT)
        return order_pivot(o, K, H, diag, order, p, e);
    list = mem_array(K, sizeof *list, e);
    if (!list)
        return -1;
    for (size_t start = 0; start < K; start += size) {
        const size_t end = size < K - start ? start + size : K;
        double largest = diag[start];

        for (size_t k = start; k < end; k++)
            largest = diag[k] > largest ? diag[k] : largest;
        for (size_t k = start; k < end; k++)
            list[k] = (struct entry){largest, diag[k], start, k};
    }
    qsort(list, K, sizeof *list, compare);
    for (size_t k = 0; k < K; k++)
        order[k] = list[k].column;
    free(list);
    return 0;
}
