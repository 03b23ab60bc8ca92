/* SPDX-License-Identifier: Apache-2.0 */
/* rotate - a checkpoint with an orthogonal rotation Q folded into its residual stream: the same
 * function, other weights. */
#ifndef PTQ_ROTATE_H
#define PTQ_ROTATE_H

#include <stddef.h>
#include <stdint.h>
#include "../../../common/base/err.h"
#include "../../../common/tensor/dtype.h"
#include "../../../common/tensor/rotation.h"

struct rotate_opts {
    const char *model, *out; /* folders; out must not exist or be empty */
    enum rotation_kind kind;
    uint64_t seed;
    enum dtype dtype; /* of every tensor written; DT_COUNT: each as it is */
    size_t threads;   /* never changes a byte */
};

/* What was done, for the user. */
struct rotate_report {
    /* orthogonal where no Hadamard matrix of the order is known and the kind was random-hadamard */
    enum rotation_kind kind;
    size_t order, core; /* core 0: orthogonal */
    int own_head;       /* it said it was tied, and had another head: that is kept */
    int untied;         /* the model was tied and is not any more */
};

/* Makes the folder `out`; on failure nothing of it is left. */
int rotate_run(const struct rotate_opts *o, struct rotate_report *report, struct err *e);

#endif
