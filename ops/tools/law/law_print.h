/* SPDX-License-Identifier: Apache-2.0 */
/* law_print - a fitted law in words, or as one JSON object. */
#ifndef PTQ_LAW_PRINT_H
#define PTQ_LAW_PRINT_H

#include <stdio.h>
#include "law_fit.h"
#include "law_opts.h"

/* The points themselves, as JSON lines that can be read again. */
int law_print_points(FILE *f, const struct law_points *p, struct err *e);
/* -1: out of memory; whether it could be written the stream knows. */
int law_print_fit(FILE *f, const struct law *l, const struct law_points *p,
                  const struct law_command *c, struct err *e);
int law_print_prediction(FILE *f, const struct law *l, const struct law_points *p,
                         const struct law_command *c, struct err *e);
int law_print_advice(FILE *f, const struct law *l, const struct law_points *p,
                     const struct law_command *c, struct err *e);

#endif
