/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_opts - the options of ptq-reduce. */
#ifndef PTQ_REDUCE_OPTS_H
#define PTQ_REDUCE_OPTS_H

#include "../../common/base/stage.h"
#include "../../common/wire/link.h"
#include "reduce.h"

struct reduce_command {
    struct reduce_opts core; /* complete once the spec's check has passed */
    const char *record, *commits, *lease_text;
    struct link_lease lease;
    int apart, rows_of; /* 1 << modality; 0: none */
    struct opt_texts only;
    int64_t peers;
    double overdue; /* seconds; 0: derived */
    uint64_t credit;
};

extern const struct stage_spec reduce_spec;

#endif
