/* SPDX-License-Identifier: Apache-2.0 */
/* site - what the linears of a block are called and how big they are. */
#include "site.h"

#include <string.h>
#include "../base/err.h"
#include "family.h"

static const char *const names[SITE_COUNT] = {"attn.qkv", "attn.o", "mlp.up", "mlp.down"};

const char *site_name(enum site s)
{
    return names[s];
}

const char *site_fused(enum site s)
{
    return s == SITE_QKV ? "qkv_proj" : s == SITE_UP ? "gate_up_proj" : NULL;
}

int site_parse(const char *name, enum site *s)
{
    for (int i = 0; i < SITE_COUNT; i++)
        if (strcmp(names[i], name) == 0) {
            *s = (enum site)i;
            return 0;
        }
    return -1;
}

static size_t site_rows(const struct config *c, enum site s, size_t i)
{
    switch (s) {
    case SITE_QKV:
        return (i == 0 ? c->heads : c->kv_heads) * c->head_dim;
    case SITE_UP:
        return c->ff;
    default:
        return c->d;
    }
}

void site_describe(const struct config *c, size_t block, enum site s, struct site_info *out)
{
    const struct family *f = family_of(c);
    const size_t inputs[SITE_COUNT] = {c->d, c->heads * c->head_dim, c->d, c->ff};
    const int bias[SITE_COUNT] = {c->attention_bias, c->attention_out_bias, c->mlp_bias,
                                  c->mlp_bias};

    memset(out, 0, sizeof *out);
    out->name = names[s];
    out->inputs = inputs[s];
    while (out->count < SITE_LINEARS && f->linear[s][out->count]) {
        struct site_linear *l = &out->linear[out->count];

        family_block_name(f, block, f->linear[s][out->count], "", l->name);
        l->rows = site_rows(c, s, out->count);
        l->has_bias = bias[s];
        out->count++;
    }
}

size_t site_order(size_t block, enum site s)
{
    return block * SITE_COUNT + (size_t)s;
}
