/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_forecast - what the problems of ptq-reduce will hold, and what it takes, known before any
 * row is there. */
#ifndef PTQ_REDUCE_FORECAST_H
#define PTQ_REDUCE_FORECAST_H

#include "../../common/run/forecast.h"
#include "reduce_opts.h"

struct reduce_forecast {
    uint64_t bytes;         /* peak, beyond its program and its libraries with their kernels */
    int both;               /* it multiplies rows in bf16 and in f32 */
    uint64_t sums, spilled; /* sums: of these in memory; the most that lies in its file */
};

/* Into *f, which has chunks and rows: the sums of a problem, and what a worker may have under
 * way. */
void reduce_forecast_sums(const struct reduce_command *c, struct forecast *f);
/* After reduce_forecast_sums. -1: *f lacks something. */
int reduce_forecast_make(const struct reduce_command *c, const struct forecast *f,
                         struct reduce_forecast *out, struct err *e);
/* Floating-point operations of the sums of a site, a triangle of S, and D where there is one. */
double reduce_forecast_flops(double tokens, double inputs, int dual);

#endif
