/* SPDX-License-Identifier: Apache-2.0 */
/* solve - the core of ptq-solve: a problem message in, a solution message out. No sockets, no
 * output. */
#ifndef PTQ_SOLVE_H
#define PTQ_SOLVE_H

#include "../../common/base/par.h"
#include "../../common/wire/msg.h"
#include "solver.h"

/* Refuses what no problem could be solved with: an unknown solver, a group of 0, block 0, ...
 * and an option that is not at its default although no solver named looks at it; an override
 * that could not be solved with. (solve_opts.c) */
int solve_check_opts(const struct solve_opts *o, struct err *e);

/* What main tells the user; all of it is in the solution's metadata too. */
struct solve_note {
    double coverage; /* calibration rows per input channel */
    double damp;
    int attempts;
    const char *fallback;         /* NULL, "floor", "rtn" */
    char solver[32];              /* of a contest: the winner */
    int blind;                    /* a contest was judged on the sums it was solved with */
    size_t dead, raised;          /* dead columns, scales raised from 0 */
    double worst;                 /* largest relative loss of the site's linears */
    char worst_name[TENSOR_NAME]; /* of the linear; "": none was quantized */
    size_t kept;                  /* linears that overrides leave alone */
    /* linears of the site that engines fuse differ in bits, group, grid or in being kept */
    int split;
};

/* Solves every linear of a problem. Consumes *problem (it is freed as early as possible and NULL
 * afterwards, also on error). A problem without any calibration rows is rounded to nearest, and
 * says so (fallback "rtn"). Errors name site and tensor: NaN or infinity, sums that cannot be, a
 * group that does not divide K. */
struct msg *solve_problem(const struct solve_opts *o, struct msg **problem, struct par *p,
                          struct solve_note *note, struct err *e);

#endif
