/* SPDX-License-Identifier: Apache-2.0 */
/* merge_opts - the options of ptq-merge. */
#ifndef PTQ_MERGE_OPTS_H
#define PTQ_MERGE_OPTS_H

#include "../../../common/base/stage.h"
#include "merge.h"

struct merge_command {
    enum merge_by by;
};

extern const struct stage_spec merge_spec;

#endif
