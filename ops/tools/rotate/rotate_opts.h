/* SPDX-License-Identifier: Apache-2.0 */
/* rotate_opts - the options of ptq-rotate. */
#ifndef PTQ_ROTATE_OPTS_H
#define PTQ_ROTATE_OPTS_H

#include "../../../common/base/stage.h"

struct rotate_command {
    const char *model;
    int64_t seed;
    int kind, dtype;
};

extern const struct stage_spec rotate_spec;

#endif
