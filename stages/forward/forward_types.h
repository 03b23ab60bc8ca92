/* SPDX-License-Identifier: Apache-2.0 */
/* forward_types - what a run of forward.h is asked for, and the calls by which it talks. */
#ifndef PTQ_FORWARD_TYPES_H
#define PTQ_FORWARD_TYPES_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"
#include "../../common/model/products.h"
#include "../../common/model/weigh.h"
#include "../../common/tensor/dtype.h"
#include "../../common/wire/modality.h"
#include "../../common/wire/msg_expert.h"
#include "../../common/wire/msg.h"

enum forward_order { FORWARD_SITE, FORWARD_FULL };

struct forward_opts {
    enum dtype acts; /* DT_BF16 or DT_F32 */
    enum products products;
    enum forward_order order;
    int dual;     /* run the full-precision model beside and emit its rows too ("xf") */
    int qkv_bits; /* q, k and v are rounded to so many, each head by itself; 0: they are not */
    int act_bits; /* inputs of sites are rounded to so many, as engines will do; 0: they are not */
    int tower;    /* the linears of the model's tower are sites too, before those of the decoder */
    int attention_weights; /* weigh tokens by the attention they receive */
    /* the least weight of a token beside the largest, before they are scaled to mean 1 */
    double weight_min;
    /* weigh tokens by their modality: each chunk must say what its tokens are */
    int by_modality;
    double modality[MODALITIES];
    /* of the experts' sites: whose rows are summed, what a starved one gets; known is not looked
     * at */
    struct msg_expert expert;
    struct weigh_clip clip; /* of the weights from attention and modality */
    /* bytes for hidden states, both streams and the chunk in work together; the rest is spilled */
    uint64_t mem;
    uint64_t mem_rows; /* of them for rows of sites between two stops */
    const char *tmp;   /* folder of the spill file */
    /* sites before this one are committed already: their rows and weights are not emitted, their
     * commits are asked for. The first site of a stop, or the number of all sites: nothing is left
     * to run. */
    uint64_t from_site;
    int images_apart;  /* emit the rows of images once more, by themselves */
    const char *state; /* folder for hidden states, to go on from; NULL: they are not kept */
};

struct forward_io {
    void *ctx;
    /* Waits for another chunk, which forward_add is given. 1; 0: there are no more; -1. NULL: all
     * have come. */
    int (*more)(void *ctx, struct err *e);
    /* Sends a message; takes it over (*m NULL) when it succeeds. */
    int (*emit)(void *ctx, struct msg **m, struct err *e);
    /* The same for the rows of images by themselves, with images_apart. */
    int (*emit_images)(void *ctx, struct msg **m, struct err *e);
    /* Waits for the commit of site number order; *m is the core's. Sites of one stop are committed
     * in any order, but asked for in theirs. 1: what was emitted since the last commit is to be
     * emitted again, its sums are lost; then it is called again. Not called in order FULL. */
    int (*commit)(void *ctx, uint64_t order, struct msg **m, struct err *e);
    /* All has been emitted: the streams end. NULL: nobody will ask for any of it again; else the
     * commits of the last stop are waited for, as those of any other. */
    int (*last)(void *ctx, struct err *e);
    /* In a run that goes on (from_site), when kept states have been looked for: so many of the
     * chunks go on from them, the first of all before this block, or
     * (site not NULL) where the rows of this site of it are; bad: a state that is not used, and
     * why, else NULL. May be NULL. */
    void (*goes_on)(void *ctx, size_t chunks, size_t block, const char *site,
                    const struct err *bad);
    /* What is being done: for progress. May be NULL. */
    void (*progress)(void *ctx, size_t block, const char *site, size_t done, size_t chunks);
};

#endif
