/* SPDX-License-Identifier: Apache-2.0 */
/* solver_list - every solver there is. A new one is one file and one line here. */
#include "solver.h"

#include <string.h>

extern const struct solver solver_foem;
extern const struct solver solver_gptaq;
extern const struct solver solver_gptq;
extern const struct solver solver_gwq;
extern const struct solver solver_ojbkq;
extern const struct solver solver_qep;
extern const struct solver solver_qronos;
extern const struct solver solver_rescomp;
extern const struct solver solver_rtn;
extern const struct solver solver_squeeze;

static const struct solver *const list[] = {
    &solver_gptq, &solver_gptaq, &solver_qep, &solver_qronos,  &solver_rescomp,
    &solver_foem, &solver_ojbkq, &solver_rtn, &solver_squeeze, &solver_gwq};

const struct solver *solver_at(size_t i)
{
    return i < sizeof list / sizeof list[0] ? list[i] : NULL;
}

const struct solver *solver_find(const char *name)
{
    const size_t n = name ? strcspn(name, "+") : 0;

    for (size_t i = 0; name && i < sizeof list / sizeof list[0]; i++)
        if (strlen(list[i]->name) == n && memcmp(list[i]->name, name, n) == 0)
            return list[i];
    return NULL;
}

int solver_half(const struct solve_opts *o, const char *name)
{
    const struct solver *s = solver_find(name);

    return s && s->half && o->fit != FIT_HESSIAN && !(o->refine > 0) && o->order != ORDER_PIVOT &&
           !o->desc_act && !o->refit;
}

const char *solver_inner(const char *name)
{
    const char *plus = strchr(name, '+');

    return plus ? plus + 1 : strcmp(name, "qep") == 0 ? "gptq" : NULL;
}

int solver_takes(const struct solver *s, const char *option)
{
    const size_t n = strlen(option);

    for (const struct opt *o = s->rows; o && o->name; o++)
        if (strcmp(o->name, option) == 0)
            return 1;
    for (const char *at = s->takes; at && *at;) {
        const size_t len = strcspn(at, ",");

        if (len == n && memcmp(at, option, n) == 0)
            return 1;
        at += len;
        at += *at == ',';
    }
    return 0;
}

const char *solver_choice(size_t i, int *value)
{
    const struct solver *s = solver_at(i);

    *value = (int)i;
    return s ? s->name : NULL;
}
