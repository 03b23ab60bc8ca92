/* SPDX-License-Identifier: Apache-2.0 */
/* cat_opts - the options of ptq-cat. */
#ifndef PTQ_CAT_OPTS_H
#define PTQ_CAT_OPTS_H

#include "../../../common/base/stage.h"
#include "../../../common/wire/link.h"

struct cat_command {
    const char *run, *lease_text;
    struct link_lease lease;
    int64_t make, peers_in, peers_out, credit;
    uint64_t size;
    double timeout;
    int route;
};

extern const struct stage_spec cat_spec;

#endif
