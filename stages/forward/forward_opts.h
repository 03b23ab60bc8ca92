/* SPDX-License-Identifier: Apache-2.0 */
/* forward_opts - the options of ptq-forward. */
#ifndef PTQ_FORWARD_OPTS_H
#define PTQ_FORWARD_OPTS_H

#include "../../common/base/stage.h"
#include "../../common/wire/link.h"
#include "forward.h"

struct forward_command {
    struct forward_opts core; /* complete once the spec's check has passed */
    const char *model, *commits, *follow, *modality_text, *clip_text, *images_out;
    int64_t act_bits, qkv_bits;
    const char *lease_text;
    struct link_lease lease;
};

extern const struct stage_spec forward_spec;

#endif
