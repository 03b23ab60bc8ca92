/* SPDX-License-Identifier: Apache-2.0 */
/* op_concat - each head of a row and behind it that of another slot, or the one row there that all
 * heads share: keys with a part that turns, q k and v behind one another. */
#include <string.h>
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const size_t heads = o->concat.heads, n = p->slot[o->in[0]].width, m = p->slot[o->in[1]].width,
                 width = p->slot[o->out].width;

    if (heads == 0 || n % heads != 0 || o->in[0] == o->out || o->in[1] == o->out ||
        (width != n + m && width != n + heads * m))
        return err_set(e, ERR_USE, "%zu heads of rows of %zu and %zu do not make rows of %zu",
                       heads, n, m, width);
    return 0;
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    const size_t heads = a->op->concat.heads, n = a->width[0] / heads, width = a->width_out / heads,
                 m = width - n, step = a->width[1] == m ? 0 : m;

    for (size_t t = first; t < first + count; t++)
        for (size_t h = 0; h < heads; h++) {
            float *to = a->out + (t * heads + h) * width;

            memcpy(to, a->in[0] + (t * heads + h) * n, n * sizeof *to);
            memcpy(to + n, a->in[1] + t * a->width[1] + h * step, m * sizeof *to);
        }
}

/* What all heads share gets the sum of them. */
static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const struct op_args *a = &b->a;
    const size_t heads = a->op->concat.heads, n = a->width[0] / heads, width = a->width_out / heads,
                 m = width - n, step = a->width[1] == m ? 0 : m;

    (void)sum;
    for (size_t t = first; t < first + count; t++)
        for (size_t h = 0; h < heads; h++) {
            const float *g = b->grad + (t * heads + h) * width;

            vec_add(b->grad_in[0] + (t * heads + h) * n, g, n);
            vec_add(b->grad_in[1] + t * a->width[1] + h * step, g + n, m);
        }
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

const struct op_kind op_concat = {.name = "concat",
                                  .inputs = 2,
                                  .local = 1,
                                  .check = check,
                                  .each = each,
                                  .back = back,
                                  .moved = 2};
