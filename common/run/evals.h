/* SPDX-License-Identifier: Apache-2.0 */
/* evals - what ptq-eval measured of an output, kept beside its journal: OUT/.ptqflow/eval.jsonl.
 *
 * Each line is one object with "record":"eval", "data", "ref" (where there was one), "window" and
 * "max_windows", and the figures as ptq-eval --json prints them; with a reference also
 * "kld_windows", the mean divergence of each window. An evaluation of the same data,
 * reference and windows takes the place of the earlier one. The writer removes the file with the
 * output that it belongs to. */
#ifndef PTQ_EVALS_H
#define PTQ_EVALS_H

#include "../base/err.h"
#include "../base/json.h"

#define EVALS_NAME "eval.jsonl"

/* 0: dir is an output that may keep figures; else an error that says so. */
int evals_check(const char *dir, struct err *e);
/* Takes *record over in any case: NULL afterwards. NULL record: out of memory, an error. */
int evals_add(const char *dir, struct json **record, struct err *e);
/* All of them, an array that is the caller's; empty where there are none. NULL: a line that is no
 * record, which the error names. */
struct json *evals_read(const char *dir, struct err *e);

#endif
