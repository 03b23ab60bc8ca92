/* SPDX-License-Identifier: Apache-2.0 */
/* op_cut - some of the numbers of each row, or of each of its heads: q, k and v of one linear; or
 * all of them, a copy of the stream for linears that read it without a norm. */
#include <string.h>
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const size_t heads = o->cut.heads, n = heads ? p->slot[o->in[0]].width / heads : 0,
                 width = heads ? p->slot[o->out].width / heads : 0;

    if (o->in[0] == o->out || heads == 0 || n * heads != p->slot[o->in[0]].width ||
        o->cut.first > n || width > n - o->cut.first)
        return err_set(e, ERR_USE, "numbers %zu to %zu of rows of %zu", o->cut.first,
                       o->cut.first + width, n);
    return 0;
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    const size_t heads = a->op->cut.heads, n = a->width[0] / heads, width = a->width_out / heads;

    /* heads of all rows lie one behind the other */
    for (size_t i = first * heads; i < (first + count) * heads; i++)
        memcpy(a->out + i * width, a->in[0] + i * n + a->op->cut.first, width * sizeof *a->out);
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t heads = b->a.op->cut.heads, n = b->a.width[0] / heads,
                 width = b->a.width_out / heads;

    (void)sum;
    for (size_t i = first * heads; i < (first + count) * heads; i++)
        vec_add(b->grad_in[0] + i * n + b->a.op->cut.first, b->grad + i * width, width);
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

const struct op_kind op_cut = {
    .name = "cut", .inputs = 1, .local = 1, .check = check, .each = each, .back = back, .moved = 2};
