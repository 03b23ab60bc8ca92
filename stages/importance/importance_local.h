/* SPDX-License-Identifier: Apache-2.0 */
/* importance_local - the local loss of VLMQ (arXiv 2508.03351) in each block, of the stream of the
 * full-precision model and that of one with rounded weights. Private to the stage. */
#ifndef PTQ_IMPORTANCE_LOCAL_H
#define PTQ_IMPORTANCE_LOCAL_H

#include "../../common/model/block_back.h"
#include "importance_types.h"

struct importance_local {
    struct model *m;
    const struct importance_opts *o;
    struct importance_held **held; /* [n] chunks at work */
    size_t n;
    int (*linear)(void *ctx, size_t chunk, size_t block, const struct block_back_rows *x,
                  struct err *e);
    void (*step)(void *ctx, size_t done, size_t all);
    int (*stop)(void *ctx);
    void *ctx;
};
/* Each chunk's loss is that of all its blocks together, the same for each of its sequences. */
int importance_local_run(const struct importance_local *l, struct err *e);

/* w [N,K] rounded to the nearest of an asymmetric grid, the smallest and the largest of each group
 * its ends: what the second stream goes through. */
int importance_round(float *w, size_t N, size_t K, int bits, int64_t group, struct err *e);

#endif
