/* SPDX-License-Identifier: Apache-2.0 */
/* costs - what a run cost: a table for people, a record for programs. */
#ifndef PTQ_COSTS_H
#define PTQ_COSTS_H

#include <stdio.h>
#include "../common/base/err.h"
#include "recipe.h"
#include "supervise.h"

/* Per stage: processes, wall and CPU seconds, load, peak memory; then the totals. */
void costs_print(FILE *f, const struct recipe *r, const struct supervise *s);
/* The same as JSON into OUT/.ptqflow/run.json. */
int costs_write(const char *out, const struct recipe *r, const struct supervise *s, struct err *e);

#endif
