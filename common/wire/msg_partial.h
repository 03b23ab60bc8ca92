/* SPDX-License-Identifier: Apache-2.0 */
/* msg_partial - typed view of a partial: the raw sums of one site over the chunks of one lane, from
 * a reducer to the one that adds the lanes up. */
#ifndef PTQ_MSG_PARTIAL_H
#define PTQ_MSG_PARTIAL_H

#include "msg_expert.h"
#include "msg_problem.h"

struct partial_view {
    uint64_t lane, lanes, chunks;
    /* how it was summed; the reducers of a run agree on it. holdout: every so-many-th chunk is in
     * `hold`, 0: none; plain, diagonals: 0 or 1; kinds: array of kinds of classes */
    uint64_t holdout;
    int plain, diagonals;
    const struct json *kinds;
    /* name of the modality that all rows are of: these are the sums of its class, in the problem of
     * whoever has the rows of all; NULL: the sums of all rows */
    const char *modality;
    struct msg_expert expert;
    /* as in a problem, without linears and prov; S and D NULL when every chunk of the lane is held
     * out */
    struct problem_view sums;
};
int partial_read(const struct msg *m, struct partial_view *v, struct err *e);
/* Id and metadata from the view; the caller adds the tensors, and classes by
 * problem_put_classes. */
struct msg *partial_create(const struct partial_view *v, const char *stage, struct err *e);

#endif
