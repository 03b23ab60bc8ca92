/* SPDX-License-Identifier: Apache-2.0 */
/* diff_opts - the options of ptq-diff. */
#ifndef PTQ_DIFF_OPTS_H
#define PTQ_DIFF_OPTS_H

#include "../../../common/base/stage.h"

struct diff_command {
    int json;
    struct opt_texts ignore;
};

extern const struct stage_spec diff_spec;

#endif
