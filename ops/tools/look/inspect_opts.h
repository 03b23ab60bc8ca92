/* SPDX-License-Identifier: Apache-2.0 */
/* inspect_opts - the options of ptq-inspect. */
#ifndef PTQ_INSPECT_OPTS_H
#define PTQ_INSPECT_OPTS_H

#include "../../../common/base/stage.h"

struct inspect_command {
    int json, fast;
};

extern const struct stage_spec inspect_spec;

#endif
