/* SPDX-License-Identifier: Apache-2.0 */
/* slope_opts - the options of ptq-slope. */
#ifndef PTQ_SLOPE_OPTS_H
#define PTQ_SLOPE_OPTS_H

#include "../../common/base/stage.h"

struct slope_command {
    const char *model;
};

extern const struct stage_spec slope_spec;

#endif
