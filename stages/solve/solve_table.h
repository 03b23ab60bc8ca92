/* SPDX-License-Identifier: Apache-2.0 */
/* solve_table - grids with a table for each row, and the solvers that choose one, go together: what
 * the options may say of them. */
#ifndef PTQ_SOLVE_TABLE_H
#define PTQ_SOLVE_TABLE_H

#include "solver.h"

/* The file of the Fisher diagonal, by its last name. */
int table_record(struct json *r, const struct solve_opts *o);
/* solver: one that is named alone, or its first part. */
int table_check(const struct solve_opts *o, const char *solver, struct err *e);

#endif
