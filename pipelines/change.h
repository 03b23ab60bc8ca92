/* SPDX-License-Identifier: Apache-2.0 */
/* change - a new command for a stage of a run that goes on, held against the other stages by the
 * very checks that the run went through before it started (route.h, precheck.h). */
#ifndef PTQ_CHANGE_H
#define PTQ_CHANGE_H

#include "../common/base/err.h"
#include "loads.h"
#include "route.h"

struct change {
    struct route *route;       /* borrowed: what the stages run with */
    const struct sites *sites; /* borrowed; NULL: the model is not known */
    struct loads loads;        /* of all solvers that have been at work */
    /* Asked for and not yet made: */
    int open;
    size_t stage;
    struct stage *next; /* NULL: a program that is not ours */
    struct loads loads_next;
};

/* What p would make of the run; it must live as long as the route. note: who will load the
 * checkpoint, where they become fewer, else "". -1: the run would not have started so; nothing is
 * open then. */
int change_check(struct change *c, const struct launch_process *p, char note[LOADS_TEXT],
                 struct err *e);
/* The processes have joined: the stage runs with that from now on. */
void change_make(struct change *c);
/* They have not. */
void change_drop(struct change *c);

#endif
