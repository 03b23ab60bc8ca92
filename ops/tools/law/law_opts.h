/* SPDX-License-Identifier: Apache-2.0 */
/* law_opts - the options of ptq-law. */
#ifndef PTQ_LAW_OPTS_H
#define PTQ_LAW_OPTS_H

#include "../../../common/base/stage.h"
#include "law_points.h"

struct law_command {
    int json;
    enum law_measure measure;
    const char *page;
    const char *data, *params, *max_loss;
    double qr, qb;
    int64_t bits;
    /* by the check */
    enum law_verb { LAW_FIT, LAW_PREDICT, LAW_ADVISE, LAW_POINTS } verb;
    double parameters; /* 0: not given */
    double most;       /* 0: not given */
};

extern const struct stage_spec law_spec;

#endif
