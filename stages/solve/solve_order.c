/* solve_order - orders of columns: see solve_order.h. */
#include "solve_order.h"

#include <stdlib.h>
#include "../../common/base/mem.h"

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

int solve_order(const struct solve_opts *o, size_t K, const double *diag, size_t *order,
                struct err *e)
{
    const size_t size = o->order == ORDER_GROUP && o->group > 0 ? (size_t)o->group : K;
    struct entry *list;

    for (size_t k = 0; k < K; k++)
        order[k] = k;
    if (o->order == ORDER_NONE)
        return 0;
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
