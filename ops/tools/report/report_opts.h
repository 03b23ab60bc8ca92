/* SPDX-License-Identifier: Apache-2.0 */
/* report_opts - the options of ptq-report. */
#ifndef PTQ_REPORT_OPTS_H
#define PTQ_REPORT_OPTS_H

#include "../../../common/base/stage.h"

struct report_command {
    const char *problems, *chunks, *blocks, *out;
};

extern const struct stage_spec report_spec;

#endif
