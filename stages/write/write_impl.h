/* SPDX-License-Identifier: Apache-2.0 */
/* write_impl - what the files of the writer's core share: write.c, write_take.c. Nobody else
 * includes it. */
#ifndef PTQ_WRITE_IMPL_H
#define PTQ_WRITE_IMPL_H

#include "write_out.h"
#include "write_plan.h"
#include "write_types.h"

struct writer {
    struct plan plan;
    struct out_folder out;
    const struct format *formats[FORMATS_MAX];
    size_t nformats;
    char *names; /* of the formats, as given */
    int keep_parts, commits;
    uint64_t shard_bytes;
    int head_bits;
    double start;
    uint64_t print; /* of the model */
    struct write_sizes sizes;
    int (*hand)(void *ctx, struct msg **m, struct err *e); /* write.h; NULL: nobody */
    void *hand_ctx;
    struct err unread; /* the first part that take_found could not read */
};

/* Can every format store what a solution of this site says? */
int write_storable(const struct writer *w, const struct solution_view *v,
                   const struct solution_linear *const *linear, struct err *e);

/* The solution of a site that has none, checked: it counts, goes on its way if there is one, and
 * becomes durable. 1, or -1. The view borrows from *m, which may be gone then. */
int write_site_commit(struct writer *w, struct msg **m, const struct solution_view *v,
                      const struct solution_linear *const *linear, uint64_t digest, struct err *e);

#endif
