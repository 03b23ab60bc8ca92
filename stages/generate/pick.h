/* SPDX-License-Identifier: Apache-2.0 */
/* pick - the next token from logits: temperature, then the K likeliest, then the nucleus of
 * probability P (Holtzman et al., arXiv 1904.09751), then one draw. Leaves out: penalties,
 * beams, grammars. */
#ifndef PTQ_PICK_H
#define PTQ_PICK_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/rng.h"

struct pick_opts {
    double temperature; /* 0: the likeliest token */
    double top_p;       /* (0, 1]; 1: all */
    int64_t top_k;      /* 0: all */
};

struct pick_item {
    float logit;
    int32_t id;
};

/* work [V]: scratch. Equal logits stand in the order of their ids. Logits must be finite. One
 * number of r is used, none at temperature 0. */
int32_t pick_token(const float *logits, size_t V, const struct pick_opts *o, struct rng *r,
                   struct pick_item *work);

#endif
