/* SPDX-License-Identifier: Apache-2.0 */
/* solve_table - see solve_table.h. */
#include "solve_table.h"

#include <string.h>

int table_record(struct json *r, const struct solve_opts *o)
{
    const char *last = o->fisher ? strrchr(o->fisher, '/') : NULL;

    return o->fisher ? json_set_text(r, "fisher", last ? last + 1 : o->fisher) : 0;
}

int table_check(const struct solve_opts *o, const char *solver, struct err *e)
{
    const int makes = (solver_find(solver)->needs & SOLVER_MAKES_TABLE) != 0;

    if (makes && !o->grid->table)
        return err_set(e, ERR_USE, "solver %s needs --grid kmeans, not %s", solver, o->grid->name);
    if (!makes && o->grid->table)
        return err_set(e, ERR_USE,
                       "--grid %s has a table for each row, which solver %s does not make: use "
                       "--solver squeeze",
                       o->grid->name, solver);
    if (!o->grid->table)
        return 0;
    if (o->group != -1)
        return err_set(e, ERR_USE, "grid %s has one table a row: say --group -1, not %lld",
                       o->grid->name, (long long)o->group);
    if (o->fit != FIT_MINMAX || o->refine)
        return err_set(e, ERR_USE, "--%s is of scales, which grid %s has none of",
                       o->refine ? "refine" : "fit", o->grid->name);
    return 0;
}
