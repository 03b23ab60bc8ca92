/* SPDX-License-Identifier: Apache-2.0 */
/* importance_opts - the options of ptq-importance. */
#ifndef PTQ_IMPORTANCE_OPTS_H
#define PTQ_IMPORTANCE_OPTS_H

#include "../../common/base/stage.h"
#include "../../common/wire/link.h"
#include "importance.h"

struct importance_command {
    struct importance_opts core; /* complete once the spec's check has passed */
    const char *model, *clip_text;
    const char *lease_text;
    struct link_lease lease;
    int64_t peers, power;
};

extern const struct stage_spec importance_spec;

#endif
