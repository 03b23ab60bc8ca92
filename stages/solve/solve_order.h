/* SPDX-License-Identifier: Apache-2.0 */
/* solve_order - the order in which a sweep takes the columns. Groups of the grid stay where they
 * were: column k belongs to group k / group whatever the order, so no index of groups has to be
 * stored. */
#ifndef PTQ_SOLVE_ORDER_H
#define PTQ_SOLVE_ORDER_H

#include <stddef.h>
#include "solver.h"

/* order[i] = column taken i-th. ORDER_ACT: by diag, largest first, equal ones in column order.
 * ORDER_GROUP (GAR, arXiv 2505.14638): groups by their largest diag, columns by diag inside each.
 * ORDER_PIVOT (arXiv 2507.18553): the last column is the one with the smallest diag, the one before
 * it has the smallest pivot of H once that one is eliminated, and so on; H [K,K] is read for this
 * order only, with diag in place of its diagonal, and o->damp of its mean added. */
int solve_order(const struct solve_opts *o, size_t K, const double *H, const double *diag,
                size_t *order, struct par *p, struct err *e);

#endif
