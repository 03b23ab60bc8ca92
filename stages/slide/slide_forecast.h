/* SPDX-License-Identifier: Apache-2.0 */
/* slide_forecast - what ptq-slide takes, known before any weight is read. */
#ifndef PTQ_SLIDE_FORECAST_H
#define PTQ_SLIDE_FORECAST_H

#include "../../common/model/sites.h"
#include "../../common/run/forecast.h"
#include "slide_types.h"

struct slide_forecast {
    uint64_t bytes; /* peak, beyond its program */
    uint64_t slope; /* of one of those that share its steps; 0: none does */
    size_t windows;
    double flops;   /* of products, in steps and between them */
    double seconds; /* about, on cores like those it was measured on; threads: of forecast */
};

/* f: with the chunks; its cores are the threads. */
int slide_forecast_make(const struct slide_opts *o, const struct config *c,
                        const struct sites *sites, const struct forecast *f,
                        struct slide_forecast *out, struct err *e);

#endif
