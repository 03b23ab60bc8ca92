/* SPDX-License-Identifier: Apache-2.0 */
/* site - the groups of linears of a block that share one input, in the order the data flows. */
#ifndef PTQ_SITE_H
#define PTQ_SITE_H

#include <stddef.h>
#include "config.h"
#include "../tensor/tensor.h"

enum site { SITE_QKV, SITE_O, SITE_UP, SITE_DOWN, SITE_COUNT };

#define SITE_LINEARS 3
struct site_linear {
    char name[TENSOR_NAME]; /* "model.layers.3.self_attn.q_proj" (no .weight) */
    size_t rows;            /* N */
    int has_bias;
};
struct site_info {
    const char *name; /* "attn.qkv", "attn.o", "mlp.up", "mlp.down" */
    size_t inputs;    /* K */
    size_t count;
    struct site_linear linear[SITE_LINEARS];
};

const char *site_name(enum site s);
/* Last word of the module that engines fuse the linears of a site into ("qkv_proj",
 * "gate_up_proj"); NULL: they stay apart. */
const char *site_fused(enum site s);
int site_parse(const char *name, enum site *s);
void site_describe(const struct config *c, size_t block, enum site s, struct site_info *out);
/* Position in the run's order: block * SITE_COUNT + site. */
size_t site_order(size_t block, enum site s);

#endif
