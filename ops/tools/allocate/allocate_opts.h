/* SPDX-License-Identifier: Apache-2.0 */
/* allocate_opts - the options of ptq-allocate. */
#ifndef PTQ_ALLOCATE_OPTS_H
#define PTQ_ALLOCATE_OPTS_H

#include "../../../common/base/stage.h"
#include "allocate_types.h"

struct allocate_command {
    struct allocate_opts core;
    struct opt_texts measured;
    int json;
    const char *out;
};

extern const struct stage_spec allocate_spec;

#endif
