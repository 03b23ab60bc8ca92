/* SPDX-License-Identifier: Apache-2.0 */
/* solve_permute - see solve_permute.h. In place, row by row: memory is a row and K marks. */
#include "solve_permute.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"
#include "solve_damp.h"
#include "solve_order.h"

/* n elements of `size` bytes: that at order[i] to i; row: room for them. */
static void gather(void *data, size_t n, size_t size, const size_t *order, void *row)
{
    char *to = row;

    for (size_t i = 0; i < n; i++)
        memcpy(to + i * size, (const char *)data + order[i] * size, size);
    memcpy(data, row, n * size);
}

int permute_square(const struct work *w, double *X, struct err *e)
{
    const size_t K = w->v.K, bytes = K * sizeof *X;
    double *row = w->order && X ? mem_raw(K, sizeof *row, e) : NULL;
    uint8_t *done = row ? mem_array(K, 1, e) : NULL;

    if (!w->order || !X)
        return 0;
    for (size_t i = 0, k; done && i < K; i++) { /* rows, cycle by cycle */
        if (done[i])
            continue;
        memcpy(row, X + i * K, bytes);
        for (k = i; w->order[k] != i; k = w->order[k]) {
            memcpy(X + k * K, X + w->order[k] * K, bytes);
            done[k] = 1;
        }
        memcpy(X + k * K, row, bytes);
        done[k] = 1;
    }
    for (size_t i = 0; done && i < K; i++)
        gather(X + i * K, K, sizeof *X, w->order, row);
    free(row);
    if (!done)
        return -1;
    free(done);
    return 0;
}

static int order_find(struct work *w, struct err *e)
{
    const size_t K = w->v.K;
    double *diag = mem_array(K, sizeof *diag, e);
    uint8_t *dead = diag ? mem_array(K, 1, e) : NULL;
    int rc = -1;

    if (dead && (w->order = mem_array(K, sizeof *w->order, e))) {
        damp_dead(w->o, K, w->H, diag, dead);
        rc = solve_order(w->o, K, w->H, diag, w->order, NULL, e);
    }
    free(dead);
    free(diag);
    return rc;
}

int permute_problem(struct work *w, struct err *e)
{
    const size_t K = w->v.K;
    char *row;

    if (!w->o->desc_act || !w->H)
        return 0;
    if (order_find(w, e) < 0 || permute_square(w, w->H, e) < 0 || permute_square(w, w->D, e) < 0 ||
        permute_square(w, w->hold_H, e) < 0 || permute_square(w, w->hold_D, e) < 0 ||
        !(row = mem_raw(K, sizeof(double), e)))
        return -1;
    for (size_t i = 0; i < w->v.nlinears; i++) {
        const struct tensor *t = w->v.linear[i];
        const size_t size = dtype_size(t->dtype);

        for (size_t n = 0; n < t->shape[0]; n++)
            gather((char *)t->data + n * K * size, K, size, w->order, row);
    }
    free(row);
    return 0;
}

/* Where each input stands in the order. */
static size_t *places(const struct work *w, struct err *e)
{
    size_t *place = mem_array(w->v.K, sizeof *place, e);

    for (size_t i = 0; place && i < w->v.K; i++)
        place[w->order[i]] = i;
    return place;
}

static int linear_back(const struct work *w, struct answer *a, size_t i, const size_t *place,
                       uint8_t *row, struct err *e)
{
    struct tensor *out = &a->results[ANSWER_PARTS * i];
    struct solution_linear *x = &a->linear[i];
    const uint64_t shape[1] = {w->v.K};
    char full[TENSOR_NAME];
    int32_t *group;

    if (!out->data)
        return 0;
    for (size_t n = 0; n < x->N; n++)
        gather((uint8_t *)out->data + n * x->K, x->K, 1, place, row);
    if (x->G == 1)
        return 0;
    if (snprintf(full, sizeof full, "%s.g_idx", x->name) >= (int)sizeof full)
        return err_set(e, ERR_USE, "tensor name '%s' is too long", x->name);
    if (tensor_alloc(&out[ANSWER_GROUPS], full, DT_I32, 1, shape, e))
        return -1;
    group = out[ANSWER_GROUPS].data;
    for (size_t k = 0; k < x->K; k++)
        group[k] = (int32_t)(place[k] / (size_t)x->group);
    return 0;
}

int permute_back(const struct work *w, struct answer *a, struct err *e)
{
    size_t *place = w->order ? places(w, e) : NULL;
    uint8_t *row = place ? mem_raw(w->v.K, 1, e) : NULL;
    int rc = !w->order ? 0 : row ? 0 : -1;

    for (size_t i = 0; row && rc == 0 && i < w->v.nlinears; i++)
        rc = linear_back(w, a, i, place, row, e);
    free(row);
    free(place);
    return rc;
}
