/* SPDX-License-Identifier: Apache-2.0 */
/* forward_forecast - what ptq-forward will send, and what one of its processes takes, known before
 * any weight is read. */
#ifndef PTQ_FORWARD_FORECAST_H
#define PTQ_FORWARD_FORECAST_H

#include "../../common/run/forecast.h"
#include "forward.h"

struct forward_forecast {
    uint64_t bytes;           /* peak of one process, beyond its program */
    uint64_t hidden, spilled; /* hidden states: of these in memory; in its file */
    uint64_t state;           /* in the files of --state, of all processes together */
    double flops;             /* of all processes together */
};

/* Into *f: the type of rows, and whether a second stream runs beside. */
int forward_forecast_rows(const struct forward_opts *o, struct forecast *f, struct err *e);
/* *f: with chunks, rows and what the reducer lets a worker have under way. -1: the model's blocks
 * cannot be added up, or *f lacks something. */
int forward_forecast_make(const struct forward_opts *o, const struct config *c,
                          const struct forecast *f, struct forward_forecast *out, struct err *e);

#endif
