/* SPDX-License-Identifier: Apache-2.0 */
/* report - what a run cost: a table for people, a record for programs. */
#ifndef PTQ_REPORT_H
#define PTQ_REPORT_H

#include <stdio.h>
#include "../common/base/err.h"
#include "recipe.h"
#include "supervise.h"

/* Per stage: processes, wall and CPU seconds, load, peak memory; then the totals. */
void report_print(FILE *f, const struct recipe *r, const struct supervise *s);
/* The same as JSON into OUT/.ptqflow/run.json. */
int report_write(const char *out, const struct recipe *r, const struct supervise *s, struct err *e);

#endif
