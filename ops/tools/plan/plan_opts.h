/* SPDX-License-Identifier: Apache-2.0 */
/* plan_opts - the options of ptq plan itself. */
#ifndef PTQ_PLAN_OPTS_H
#define PTQ_PLAN_OPTS_H

#include "../../../common/base/stage.h"
#include "../../../pipelines/line.h"
#include "choice.h"

#define PLAN_NET "10G"

struct plan_command {
    int json, keep, dry_run;
    int64_t cores, stall;
    uint64_t reserve;
    const char *log;
    struct line_opts line;
    struct allocate_target target; /* all 0: nothing is chosen */
    double core;
    int64_t hosts;
    const char *like;
    const char *net; /* PLAN_NET: as it is where nothing was said */
    struct opt_texts losses;
};

extern const struct stage_spec plan_spec;

#endif
