/* SPDX-License-Identifier: Apache-2.0 */
/* write_opts - the options of ptq-write. */
#ifndef PTQ_WRITE_OPTS_H
#define PTQ_WRITE_OPTS_H

#include "../../common/base/stage.h"
#include "../../common/wire/link.h"
#include "write.h"

struct write_command {
    struct write_opts core; /* complete once the spec's check has passed */
    const char *commits, *lease_text;
    struct link_lease lease;
    int64_t peers, commit_peers;
};

extern const struct stage_spec write_spec;

#endif
