/* SPDX-License-Identifier: Apache-2.0 */
/* residual - what the tensors of a block do with the residual stream, from its program: what a
 * change of the stream's basis must do to each of them. */
#ifndef PTQ_RESIDUAL_H
#define PTQ_RESIDUAL_H

#include "sites.h"

enum residual_role {
    RESIDUAL_APART,  /* it sees only what linears made of the stream */
    RESIDUAL_NORM,   /* weights of a norm of the stream: only linears stand behind it */
    RESIDUAL_READS,  /* a linear that reads the stream behind the norm `norm` */
    RESIDUAL_WRITES, /* a linear whose rows join the stream */
    RESIDUAL_JOINS   /* a vector that joins the stream */
};

struct residual_tensor {
    const char *name;  /* "model.layers.3.self_attn.q_proj.weight" */
    const char *whole; /* what it is cut from where it is not there; NULL: nothing */
    const char *norm;
    int optional;
    enum residual_role role;
};

/* Calls each for the tensors of a block, in the order of its program. A block that does something
 * else with the stream (reads it without a norm, norms what joins it) is refused by name. */
int residual_tensors(const struct config *c, size_t block,
                     int (*each)(void *ctx, const struct residual_tensor *t, struct err *e),
                     void *ctx, struct err *e);

#endif
