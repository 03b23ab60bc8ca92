/* SPDX-License-Identifier: Apache-2.0 */
/* supervise - starts the processes of a plan and stays with them until the last has ended. */
#ifndef PTQ_SUPERVISE_H
#define PTQ_SUPERVISE_H

#include <stddef.h>
#include "../common/base/err.h"
#include "child.h"
#include "control.h"
#include "crew.h"
#include "launch.h"
#include "watch.h"

struct supervise {
    struct launch *plan; /* grows when processes are added */
    const struct recipe *recipe;
    const char *run_dir; /* folder of the sockets: the control socket is made here */
    /* folder whose .ptqflow/control leads there while the run goes on; NULL: none */
    const char *out;
    const char *log_dir; /* NULL: no copies of stderr */
    int sigfd;           /* of supervise_signals */
    int quiet;           /* no progress */
    struct watch watch;  /* watch_init() is the caller's */
    /* [plan->room], the first plan->count in use; owned: see supervise_release */
    struct child *child;
    struct control *control;
    struct crew crew;
    size_t ended;   /* processes */
    int stop_asked; /* through the control socket, or by signal */
    double seconds; /* wall */
};

/* From here on signals wait for supervise_run, until the process exits: none ends it between
 * making and removing what a run needs. Those that were ignored stay so. A descriptor, or -1. */
int supervise_signals(struct err *e);
/* 0: every process exited 0. -1: e names the process that failed first and its last words;
 * e->kind is the exit code of the run. */
int supervise_run(struct supervise *s, struct err *e);
void supervise_release(struct supervise *s);

#endif
