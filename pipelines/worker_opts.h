/* SPDX-License-Identifier: Apache-2.0 */
/* worker_opts - the options of ptq worker. */
#ifndef PTQ_WORKER_OPTS_H
#define PTQ_WORKER_OPTS_H

#include "../common/base/stage.h"

#define WORKER_SLOTS 256 /* processes of one worker */
#define WORKER_NAME 64   /* bytes of its name, with the end */

struct worker_command {
    int64_t solve, forward, wait;
    const char *model, *name, *cache;
    uint64_t fetch;
};

extern const struct stage_spec worker_spec;

#endif
