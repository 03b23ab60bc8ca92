/* SPDX-License-Identifier: Apache-2.0 */
/* op_lay - the numbers of each row become some of those of another, which keeps the rest: keys and
 * values that later blocks use too. */
#include <string.h>
#include "op.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const size_t n = p->slot[o->out].width, width = p->slot[o->in[0]].width;

    if (o->in[1] != o->out || o->in[0] == o->out || width > n || o->cut.first > n - width)
        return err_set(e, ERR_USE, "%zu numbers from %zu on in rows of %zu", width, o->cut.first,
                       n);
    return 0;
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    for (size_t t = first; t < first + count; t++)
        memcpy(a->out + t * a->width_out + a->op->cut.first, a->in[0] + t * a->width[0],
               a->width[0] * sizeof *a->out);
}

static void cost(const struct program *p, const struct op *o, const struct op_load *l,
                 struct op_cost *c)
{
    c->flops = 0;
    c->bytes = 2 * sizeof(float) * l->tokens * (double)p->slot[o->in[0]].width;
}

const struct op_kind op_lay = {
    .name = "lay", .inputs = 2, .local = 1, .check = check, .each = each, .cost = cost};
