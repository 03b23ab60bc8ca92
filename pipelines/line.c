/* SPDX-License-Identifier: Apache-2.0 */
/* line - see line.h. */
#include "line.h"

#define AT(field) offsetof(struct line_opts, field)
const struct opt line_rows[] = {
    {"set", OPT_TEXTS, AT(set), "NAME=VALUE", .help = "the same as --NAME VALUE"},
    {"workers", OPT_TEXTS, AT(workers), "S=N,...", .help = "processes of stage S"},
    {.name = NULL},
};

int line_apply(const struct line_opts *l, struct route *t, const struct opt_group *own, size_t nown,
               struct err *e)
{
    for (size_t i = 0; i < l->workers.count; i++)
        if (recipe_workers(t->r, l->workers.text[i], e) < 0)
            return -1;
    for (size_t i = 0; i < l->set.count; i++)
        if (route_pair(t, l->set.text[i], own, nown, e) < 0)
            return -1;
    return 0;
}
