/* SPDX-License-Identifier: Apache-2.0 */
/* child - one process of a run: started, listened to, waited for.
 *
 * Its stderr and its status lines come through pipes. It stands in a process group of its own,
 * so that Ctrl-C reaches it through the supervisor alone, and gets SIGTERM when the supervisor
 * dies. */
#ifndef PTQ_CHILD_H
#define PTQ_CHILD_H

#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>
#include "../common/base/err.h"
#include "launch.h"
#include "waits.h"

#define CHILD_LINE 2048

struct lines { /* bytes of a pipe cut into lines; longer ones are cut off */
    int fd;    /* -1: closed */
    size_t n;
    char text[CHILD_LINE];
};

struct child {
    const struct launch_process *plan;
    pid_t pid; /* 0: not running */
    struct lines err, status;
    /* its fatal line without "NAME: fatal: "; until it says one, its last line of stderr */
    char last[CHILD_LINE];
    int fatal;             /* it said one */
    FILE *log;             /* copy of stderr; NULL: none */
    int joined;            /* its links stand: see crew.h */
    unsigned heard;        /* bit k: somebody, likely this one, said hello at its endpoint k */
    int added;             /* started while the run was going on */
    int leaving;           /* it was told to go while the run goes on */
    int forgiven;          /* how it ended is no failure of the run */
    int rests;             /* it was told to: see hold.h */
    int past;              /* the run goes on without it: see restart.h, replace.h */
    int together;          /* it was ended because another had to be replaced: replace_spread.h */
    int helps;             /* it hands lanes to one that has taken another's place */
    int stands_in;         /* it has lanes of a worker of another host: see hosts_again.h */
    size_t first;          /* number + 1 of the process whose place it has taken; 0: its own */
    int64_t epoch;         /* how many had its place before */
    char lanes[256];       /* that it has leased, as it said; "": it has not said, "-": none */
    double alone;          /* since when nobody is left that takes what it says; 0: somebody is */
    double lost;           /* since when a neighbour has given it up; 0: none has */
    char status_text[512]; /* last status line; "" */
    int exited;
    int code;              /* exit code; 111 when a signal ended it */
    int signal;            /* that ended it, else 0 */
    size_t turn;           /* how many ended before it */
    double started, ended; /* clock_wall */
    double alive;          /* when it last said that it goes on; see stall.h */
    double stall_next;     /* when it is to be said that it does not; 0: not before its time */
    double stall_cpu;      /* CPU seconds that it had half-way there; < 0: not looked yet */
    struct rusage usage;
    struct waits *waits; /* owned; NULL: it told nothing of its waiting, or memory was out */
};

/* Between fork and exec: a process group of its own, no signal blocked but that of pause.h,
 * SIGTERM when parent, who forked, dies; ends the process where that is so already. */
void child_stand_alone(pid_t parent);
/* log_dir: folder for a copy of its stderr, or NULL. */
int child_start(struct child *c, const struct launch_process *p, const char *log_dir,
                struct err *e);
/* Reads what is there, of one that never stops talking twice what a pipe holds, and calls line()
 * for each whole line. Closes the pipe at its end. */
void child_read(struct lines *l, void (*line)(void *ctx, struct child *c, char *text), void *ctx,
                struct child *c);
void child_signal(const struct child *c, int number); /* to its whole process group */
/* Was this state of common/base/status.h the last that it told? */
int child_says(const struct child *c, const char *state);
/* From what wait4 said. */
void child_ended(struct child *c, int status, const struct rusage *usage, size_t turn);
void child_close(struct child *c);

#endif
