/* SPDX-License-Identifier: Apache-2.0 */
/* op_temper - queries grow with their position, in place: each row times
 * 1 + rate ln(1 + floor(position / original)), so that attention stays as sharp among many keys. */
#include <math.h>
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    if (o->in[0] != o->out || p->slot[o->out].route >= 0 || o->temper.original == 0)
        return err_set(e, ERR_USE, "positions are counted in pieces of %zu", o->temper.original);
    return 0;
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    for (size_t t = first; t < first + count; t++) {
        const size_t piece = a->position[a->first + t] / a->op->temper.original;

        if (piece)
            vec_scale(a->out + t * a->width_out, a->width_out,
                      1.0f + a->op->temper.rate * logf(1.0f + (float)piece));
    }
}

/* The gradient grows as the row did. */
static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    struct op_args a = b->a;

    (void)sum;
    a.out = b->grad;
    each(&a, first, count);
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

const struct op_kind op_temper = {.name = "temper",
                                  .inputs = 1,
                                  .local = 1,
                                  .check = check,
                                  .each = each,
                                  .back = back,
                                  .flops = 1,
                                  .moved = 2};
