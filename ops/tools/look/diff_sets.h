/* SPDX-License-Identifier: Apache-2.0 */
/* diff_sets - files or folders of tensors against each other. */
#ifndef PTQ_DIFF_SETS_H
#define PTQ_DIFF_SETS_H

#include "diff_report.h"
#include "input.h"

/* 0: compared, r says how; -1. */
int diff_sets(const struct input *a, const struct input *b, struct diff_report *r, struct err *e);

#endif
