/* SPDX-License-Identifier: Apache-2.0 */
/* solve - the core of ptq-solve: a problem message in, a solution message out. No sockets, no
 * output. */
#ifndef PTQ_SOLVE_H
#define PTQ_SOLVE_H

#include "../../common/base/par.h"
#include "../../common/wire/msg.h"
#include "solve_note.h"
#include "solver.h"

/* Solves every linear of a problem. Consumes *problem (it is freed as early as possible and NULL
 * afterwards, also on error). A problem without any calibration rows is rounded to nearest, and
 * says so (fallback "rtn"). Errors name site and tensor: NaN or infinity, sums that cannot be, a
 * group that does not divide K. */
struct msg *solve_problem(const struct solve_opts *o, struct msg **problem, struct par *p,
                          struct solve_note *note, struct err *e);
/* Does the problem hold what this asks for? As solve_problem would say it, before any work. */
int solve_check_problem(const struct solve_opts *o, struct msg *problem, struct err *e);

#endif
