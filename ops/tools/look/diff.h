/* SPDX-License-Identifier: Apache-2.0 */
/* diff - are two streams, or two checkpoints, the same? */
#ifndef PTQ_DIFF_H
#define PTQ_DIFF_H

#include "diff_report.h"

/* 0 equal, 1 different (out says what), -1 error. */
int diff_paths(const char *a, const char *b, const struct diff_opts *o, FILE *out, struct err *e);

#endif
