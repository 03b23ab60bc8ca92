/* SPDX-License-Identifier: Apache-2.0 */
/* metrics_opts - the options of ptq-metrics. */
#ifndef PTQ_METRICS_OPTS_H
#define PTQ_METRICS_OPTS_H

#include "../../../common/base/stage.h"

struct metrics_command {
    const char *out, *run;
    int insecure;
};

extern const struct stage_spec metrics_spec;

#endif
