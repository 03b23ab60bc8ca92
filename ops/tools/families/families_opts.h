/* SPDX-License-Identifier: Apache-2.0 */
/* families_opts - the options of ptq-families. */
#ifndef PTQ_FAMILIES_OPTS_H
#define PTQ_FAMILIES_OPTS_H

#include "../../../common/base/stage.h"

struct families_command {
    int json;
};

extern const struct stage_spec families_spec;

#endif
