/* SPDX-License-Identifier: Apache-2.0 */
/* cost - what a forward pass takes, added up from the operations of all blocks. */
#ifndef PTQ_COST_H
#define PTQ_COST_H

#include "../tensor/dtype.h"
#include "config.h"

struct cost {
    double flops, bytes; /* bytes: moved between memory and core */
    uint64_t room;       /* bytes of the slots of one chunk while a block runs, at most */
    uint64_t kept;       /* bytes of each token between two stops, beside the stream, at most */
};

/* For so many tokens in sequences of a length, in chunks of so many; rows: the type that rows of
 * sites are kept in. Embeddings and head are not in it. */
int cost_of(const struct config *c, double tokens, double length, size_t chunk, enum dtype rows,
            struct cost *out, struct err *e);

/* Bytes that the tower takes for so many patches that go through it together: rows, slots, and the
 * weights of a block or of what lies behind the blocks. */
int cost_tower(const struct config *c, size_t patches, double *bytes, struct err *e);

#endif
