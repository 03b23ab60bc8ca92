/* SPDX-License-Identifier: Apache-2.0 */
/* check_opts - the options of ptq-check. */
#ifndef PTQ_CHECK_OPTS_H
#define PTQ_CHECK_OPTS_H

#include "../../../common/base/stage.h"

struct check_command {
    int json;
};

extern const struct stage_spec check_spec;

#endif
