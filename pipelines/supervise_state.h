/* SPDX-License-Identifier: Apache-2.0 */
/* supervise_state - what is known of a run that goes on: its processes, what they have said, and
 * the change of an elastic stage that is under way. Supervise owns it, crew works on it. */
#ifndef PTQ_SUPERVISE_STATE_H
#define PTQ_SUPERVISE_STATE_H

#include <stddef.h>
#include <stdint.h>
#include "../common/base/err.h"
#include "change.h"
#include "child.h"
#include "control.h"
#include "launch.h"
#include "scan.h"
#include "watch.h"

enum crew_state { CREW_IDLE, CREW_JOINING, CREW_LEAVING };

struct crew {
    enum crew_state state;
    uint64_t client; /* who asked */
    size_t stage;
    size_t from, until; /* the new processes */
    int replace;        /* the others of the stage leave when these have joined */
    int64_t wait;       /* seconds for them to join */
    double deadline;    /* clock_wall */
    size_t restarts;    /* since so many sites were committed: */
    uint64_t committed;
    char note[LOADS_TEXT]; /* to be told with the end of a change; "": nothing */
    struct err lost;       /* a stage has no process left; kind 0: none has been lost */
};

struct again {    /* see restart.h */
    size_t count; /* since so many sites were committed: */
    uint64_t from;
    /* see replace.h: some were replaced; since when all is committed */
    int replaced;
    double over_at;
};

struct supervise {
    struct launch *plan; /* grows when processes are added */
    const struct recipe *recipe;
    const char *run_dir; /* folder of the sockets: the control socket is made here */
    /* folder whose .ptqflow/control leads there while the run goes on; NULL: none */
    const char *out;
    const struct json *job; /* kept in OUT for a run that goes on; NULL: nothing */
    const char *log_dir;    /* NULL: no copies of stderr */
    int sigfd;              /* of supervise_signals */
    int quiet;              /* no progress */
    double stall;           /* seconds without any progress of a process after which that is said */
    double looked;          /* when that was last looked for, clock_wall */
    /* how often what is lost is started again without a further site: a stage, the run */
    size_t restarts;
    struct watch watch; /* watch_init() is the caller's */
    /* [plan->room], the first plan->count in use; owned: see supervise_release */
    struct child *child;
    struct control *control;
    struct crew crew;
    struct again again;
    struct change change; /* set up by the caller; without a route commands are not checked */
    struct hosts *hosts;  /* borrowed; NULL: the run is of this host alone */
    struct scan *scan;    /* of the model's weights; NULL: none */
    struct err found;     /* by it */
    size_t begun;         /* number of the first process since the run began, or began again */
    size_t ended;         /* processes */
    size_t restarted;     /* processes, and the run */
    const char *metrics;  /* ADDRESS:PORT where they are served (scrape.h); NULL: nowhere */
    int stop_asked;       /* through the control socket */
    int stopping;         /* SIGTERM has been passed on */
    double seconds;       /* wall */
};

#endif
