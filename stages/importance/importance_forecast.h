/* SPDX-License-Identifier: Apache-2.0 */
/* importance_forecast - what one process of ptq-importance takes, known before any weight is
 * read. */
#ifndef PTQ_IMPORTANCE_FORECAST_H
#define PTQ_IMPORTANCE_FORECAST_H

#include "../../common/model/sites.h"
#include "../../common/run/forecast.h"
#include "importance_types.h"

struct importance_forecast {
    uint64_t bytes; /* peak of one process, beyond its program */
    double flops;   /* of all processes together */
    double seconds; /* that these take, working at once */
};

/* processes: of this stage; f: with the chunks. */
int importance_forecast_make(const struct importance_opts *o, const struct config *c,
                             const struct sites *sites, const struct forecast *f, size_t processes,
                             struct importance_forecast *out, struct err *e);

#endif
