/* SPDX-License-Identifier: Apache-2.0 */
/* forward_impl - what the files of the forward stage's core share: forward.c, forward_state.c.
 * Nobody else includes it. */
#ifndef PTQ_FORWARD_IMPL_H
#define PTQ_FORWARD_IMPL_H

#include "../../common/model/model.h"
#include "../../common/wire/msg_chunk.h"
#include "../../common/wire/run_id.h"
#include "forward_first.h"
#include "forward_held.h"
#include "forward_types.h"
#include "store.h"

/* One way through the model: the hidden states and, while a block runs, that block with the
 * weights of this way. */
struct way {
    int full; /* the checkpoint's own weights; else those of the commits */
    struct store *store;
    struct block *block;
};

struct forward {
    struct model *model;
    struct forward_opts o;
    const struct config *c;
    const struct sites *sites;
    struct held *held; /* in chunk order */
    size_t count, cap;
    int come; /* all of them have */
    uint64_t tokens, images, uniform, zero;
    struct way way[2]; /* the one that is emitted as x; the full-precision one, as xf */
    int ways;
    void *gathered;     /* [Tmax, widest] rows of the chunk at work as its experts get them */
    float *site_w;      /* [Tmax] weights of the rows of one site */
    size_t t_max, kept; /* kept: bytes of a token between two stops, beside the stream */
    struct json *prov;
    char run[RUN_ID];
    struct first_found first; /* in chunk 0 */
    uint64_t print;           /* of the model */
    uint64_t *commits;        /* [sites] checksum of the commit that came of each; 0: none yet */
    const struct site *stop;  /* [stop_count]: the sites at work; NULL: none */
    size_t stop_count;
    uint64_t passed; /* digest of the commits of all sites so far, in their order */
};

#endif
