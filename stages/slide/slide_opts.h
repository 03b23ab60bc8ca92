/* SPDX-License-Identifier: Apache-2.0 */
/* slide_opts - the options of ptq-slide. */
#ifndef PTQ_SLIDE_OPTS_H
#define PTQ_SLIDE_OPTS_H

#include "../../common/base/stage.h"
#include "slide.h"

struct slide_command {
    struct slide_opts core; /* complete once the spec's check has passed */
    const char *model;
    uint64_t from_site; /* solutions of the sites before are there already */
    int grid;
    int64_t act_bits, qkv_bits;
    const char *jobs, *gradients; /* endpoints; NULL: all is worked on here */
};

extern const struct stage_spec slide_spec;

#endif
