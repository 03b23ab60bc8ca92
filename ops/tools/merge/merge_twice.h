/* SPDX-License-Identifier: Apache-2.0 */
/* merge_twice - which rows the sums of a site are of, and whether two of the files have the same
 * ones: added, these would count twice. Known by the sampler's record in `prov` (those of files
 * that are sums of several, too), and by the sums themselves where there is none. */
#ifndef PTQ_MERGE_TWICE_H
#define PTQ_MERGE_TWICE_H

#include <stddef.h>
#include "../../../common/wire/msg_problem.h"

struct merge_source;

/* Of one site. All zero: nothing was seen yet. */
struct merge_twice {
    struct merge_source *source; /* one for each record, or file without any; owned */
    size_t count, room, files;
};

/* Takes in the problem of the next file; `file` must live as long as t. 1: it was drawn from data
 * that an earlier file was drawn from in another way, rows may be in both: *other is that file.
 * -1: rows of an earlier one are in it, or no memory. */
int merge_twice_see(struct merge_twice *t, const struct problem_view *v, const char *file,
                    const char **other, struct err *e);
void merge_twice_release(struct merge_twice *t);

#endif
