/* SPDX-License-Identifier: Apache-2.0 */
/* merge - the problems of several runs over the same model as those of one: sums, counts and
 * histograms of each site are added, in the order of the files. */
#ifndef PTQ_MERGE_H
#define PTQ_MERGE_H

#include <stddef.h>
#include "../../../common/wire/link.h"

enum merge_by {
    MERGE_WEIGHTS, /* sums as they are: a row counts by the weight it was given */
    MERGE_TOKENS   /* each file's are scaled first so that its rows weigh 1 on average */
};

/* The files must have the same sites in the same order, with the same weights, and sets of sums of
 * the same kinds; what differs is refused by name. One site is in memory at a time. *count:
 * problems sent. */
int merge_run(const char *const *files, size_t n, enum merge_by by, struct link *out, size_t *count,
              struct err *e);

#endif
