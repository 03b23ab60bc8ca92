/* SPDX-License-Identifier: Apache-2.0 */
/* solve_fisher - see solve_fisher.h. */
#include "solve_fisher.h"

#include <stdio.h>
#include "../../common/base/mem.h"

int fisher_look(const char *path, struct err *e)
{
    struct st_set *s = path ? st_open(path, e) : NULL;

    if (path && !s)
        return err_prefix(e, "--fisher");
    st_close(&s);
    return 0;
}

int fisher_prepare(const struct solve_opts *o, size_t K, const double *H, const double *D,
                   struct par *p, void **state, struct solve_stats *st, struct err *e)
{
    struct st_set *s = NULL;

    (void)K;
    (void)H;
    (void)D;
    (void)p;
    (void)st;
    if (o->fisher && !(s = st_open(o->fisher, e)))
        return err_prefix(e, "--fisher");
    *state = s;
    return 0;
}

void fisher_release(void *state)
{
    struct st_set *s = state;

    st_close(&s);
}

int fisher_load(const struct st_set *s, const struct solve_job *j, float **all, struct err *e)
{
    const uint64_t shape[2] = {j->N, j->K};
    char name[TENSOR_NAME + 8];
    const struct st_entry *x;

    *all = NULL;
    if (!s)
        return 0;
    snprintf(name, sizeof name, "%s.weight", j->name);
    if (!(x = st_find(s, name)))
        return err_set(e, ERR_USE, "--fisher: '%s' has no tensor '%s'", s->paths[0], name);
    if (x->ndim != 2 || x->shape[0] != shape[0] || x->shape[1] != shape[1] ||
        !dtype_is_float(x->dtype))
        return err_set(e, ERR_USE, "--fisher: '%s': tensor '%s' must be of floats, [%zu, %zu]",
                       s->paths[0], name, j->N, j->K);
    if (!(*all = mem_raw(j->N * j->K, sizeof **all, e)))
        return -1;
    if (st_load_finite_f32(s, x, 0, j->N, *all, e) < 0)
        return err_prefix(e, "--fisher");
    for (size_t i = 0; i < j->N * j->K; i++)
        if ((*all)[i] < 0)
            return err_set(e, ERR_USE,
                           "--fisher: '%s': tensor '%s' has %g, but squares are not below 0",
                           s->paths[0], name, (double)(*all)[i]);
    return 0;
}
