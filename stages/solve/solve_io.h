/* SPDX-License-Identifier: Apache-2.0 */
/* solve_io - the links of a solver: problems in, solutions out. Private to the stage. */
#ifndef PTQ_SOLVE_IO_H
#define PTQ_SOLVE_IO_H

#include "../../common/base/stage.h"

/* The work of ptq-solve, from opening its links to closing them. s->own: struct solve_command.
 * Asked to stop it finishes the problem in hand, delivers it and leaves: 0, and what it did not
 * take goes to another solver; a pipe or file that lacks the rest says so. -1 with e set. */
int solve_io_run(struct stage *s, struct err *e);

#endif
