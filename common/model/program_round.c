/* SPDX-License-Identifier: Apache-2.0 */
/* program_round - puts the rounding of activations into a program: behind what wrote the rows of
 * a site last, so that it stops where it did without; and before an attention. */
#include <stdlib.h>
#include <string.h>

#include "../base/mem.h"
#include "op.h"
#include "program_put.h"

/* The last operation before `at` that wrote the slot, of whatever expert. */
static size_t writer_of(const struct program *p, int slot, size_t at)
{
    while (at-- > 0)
        if (p->op[at].out == slot)
            return at;
    return SIZE_MAX;
}

static int op_insert(struct program *p, size_t at, const struct op *o, struct err *e)
{
    if (mem_grow((void **)&p->op, &p->op_cap, p->nops + 1, sizeof *p->op, e) < 0)
        return -1;
    memmove(p->op + at + 1, p->op + at, (p->nops - at) * sizeof *p->op);
    p->op[at] = *o;
    p->nops++;
    return 0;
}

/* The slot with the rounded rows of linear *i, which moves on when the rounding is new; -1. */
static int rounded(struct program *p, size_t *i, int bits, struct err *e)
{
    const int from = p->op[*i].in[0];
    const size_t w = writer_of(p, from, *i);
    struct op o = put_op(&op_round, from, -1);

    if (w != SIZE_MAX && p->op[w + 1].kind == &op_round && p->op[w + 1].in[0] == from)
        return p->op[w + 1].out;
    if (w == SIZE_MAX || program_is_held(p, from))
        return err_set(e, ERR_USE, "%s'%s': what it reads cannot be rounded", p->prefix,
                       p->op[*i].tensor[0].name);
    o.round.bits = bits;
    if ((o.out = put_like(p, from, p->slot[from].width)) < 0) {
        *e = p->err;
        return -1;
    }
    p->slot[o.out].written = p->slot[from].written;
    if (o.kind->check(p, &o, e) < 0)
        return err_prefix(e, "%s'%s'", p->prefix, p->op[*i].tensor[0].name);
    if (op_insert(p, w + 1, &o, e) < 0)
        return -1;
    ++*i;
    return o.out;
}

/* Input `in` of the attention *i, which moves on. */
static int round_heads(struct program *p, size_t *i, size_t in, size_t width, int bits,
                       struct err *e)
{
    const int from = p->op[*i].in[in];
    struct op o = put_op(&op_round, from, -1);

    o.round.bits = bits;
    o.round.width = width;
    if ((o.out = put_like(p, from, p->slot[from].width)) < 0) {
        *e = p->err;
        return -1;
    }
    p->slot[o.out].written = p->slot[from].written;
    if (o.kind->check(p, &o, e) < 0)
        return err_prefix(e, "%sattention", p->prefix);
    if (op_insert(p, *i, &o, e) < 0)
        return -1;
    p->op[++*i].in[in] = o.out;
    return 0;
}

static int round_attention(struct program *p, size_t *i, int bits, struct err *e)
{
    const struct attention_shape *s = &p->op[*i].attention.shape;
    const size_t width[3] = {s->head_dim, s->head_dim, attention_value_dim(s)};

    for (size_t in = 0; in < 3; in++)
        if (round_heads(p, i, in, width[in], bits, e) < 0)
            return -1;
    return 0;
}

int program_round(struct program *p, int bits, int heads, struct err *e)
{
    for (size_t i = 0; heads && i < p->nops; i++)
        if (p->op[i].kind->attends && round_attention(p, &i, heads, e) < 0)
            return -1;
    for (size_t i = 0; bits && i < p->nops; i++) {
        int to;

        if (p->op[i].kind != &op_linear || !p->op[i].linear.site)
            continue;
        if ((to = rounded(p, &i, bits, e)) < 0)
            return -1;
        p->op[i].in[0] = to;
    }
    return 0;
}
