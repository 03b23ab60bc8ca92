/* SPDX-License-Identifier: Apache-2.0 */
/* check - a checkpoint as an engine would find it: config.json and the tensors that it asks for,
 * their types, shapes and packed lengths, zero points, groups, numbers that are not finite, linears
 * that engines fuse. All that is found is told, not the first thing only. It reads every number of
 * the checkpoint once; memory is that of one linear. */
#ifndef PTQ_CHECK_H
#define PTQ_CHECK_H

#include <stdio.h>

#include "../../../common/base/err.h"

/* A line to out for each finding, a line of totals behind them. 0: nothing is wrong; 1: something
 * is; -1: there is no checkpoint to look at. */
int check_folder(const char *dir, int json, FILE *out, struct err *e);

#endif
