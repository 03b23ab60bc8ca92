/* SPDX-License-Identifier: Apache-2.0 */
/* rundir - the private folder of a run's sockets, and the lock in it that tells whether the run
 * still lives. */
#ifndef PTQ_RUNDIR_H
#define PTQ_RUNDIR_H

#include "../common/base/owner.h"

#define RUNDIR_LOCK "run.lock"

struct rundir {
    char *path; /* owned */
    int lock;   /* -1: none */
};

/* Where the folders of runs lie: XDG_RUNTIME_DIR, else /tmp. */
const char *rundir_base(void);
/* Removes the sockets that dead runs of this user left, then makes a folder of mode 0700. */
int rundir_open(struct rundir *d, struct err *e);
/* keep: the folder stays with what is in it, but for the lock. */
void rundir_close(struct rundir *d, int keep);
/* 1: the run whose control socket path is, or leads to, goes on; who: see owner.h. */
int rundir_lives(const char *path, char who[OWNER_TEXT]);

#endif
