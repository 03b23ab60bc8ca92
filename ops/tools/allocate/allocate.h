/* SPDX-License-Identifier: Apache-2.0 */
/* allocate - which bits and groups each site gets, from what several finished runs of one model
 * lost there.
 *
 * Each run (mostly `ptq resolve` of the same problems, each with its own bits and group) is a
 * candidate for every site; sites whose linears engines fuse are one by nature, the experts of a
 * block are chosen alike. The choice is exact (knapsack.h). Costs are bits as stored: codes, and
 * for each group a scale of 16 bits and a zero point; linears that are kept take 16 bits a
 * weight. */
#ifndef PTQ_ALLOCATE_H
#define PTQ_ALLOCATE_H

#include <stddef.h>
#include <stdio.h>
#include "../../../common/base/err.h"
#include "allocate_types.h"

struct allocate;

/* Reads the journals. NULL: a run that is not finished, of another model or calibration, or whose
 * site is not quantized in one way; the error names it. */
struct allocate *allocate_open(const char *const *runs, size_t count, const struct allocate_opts *o,
                               struct err *e);
/* -1: no choice is within the target; the error says what the least is. */
int allocate_run(struct allocate *a, struct err *e);
/* The choice as override lines (override.h), what it is in comments above them. */
void allocate_print(const struct allocate *a, FILE *f);
int allocate_print_json(const struct allocate *a, FILE *f, struct err *e);
void allocate_close(struct allocate **a);

#endif
