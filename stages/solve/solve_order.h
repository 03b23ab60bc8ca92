/* solve_order - the order in which a sweep takes the columns. Groups of the grid stay where they
 * were: column k belongs to group k / group whatever the order, so no index of groups has to be
 * stored. */
#ifndef PTQ_SOLVE_ORDER_H
#define PTQ_SOLVE_ORDER_H

#include <stddef.h>
#include "solver.h"

/* order[i] = column taken i-th. ORDER_ACT: by diag, largest first, equal ones in column order.
 * ORDER_GROUP (GAR, arXiv 2505.14638): groups by their largest diag, columns by diag inside each.
 */
int solve_order(const struct solve_opts *o, size_t K, const double *diag, size_t *order,
                struct err *e);

#endif
