/* SPDX-License-Identifier: Apache-2.0 */
/* op_deepstack - features of images from inside of the tower, added to their tokens in the stream
 * (Qwen3-VL); nothing where there are no images. */
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    (void)p;
    return o->in[0] == PROGRAM_STREAM && o->out == PROGRAM_STREAM
               ? 0
               : err_set(e, ERR_USE, "it adds to slot %d, not to the stream", o->out);
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    const struct rows_seen *seen = a->rows->seen;
    const size_t level = a->op->deepstack.level, d = a->width_out;

    for (size_t t = first; seen && level < seen->deeps && t < first + count; t++)
        if (seen->feature[a->first + t] >= 0)
            vec_add(a->out + t * d, seen->deep[level] + (size_t)seen->feature[a->first + t] * d, d);
}

/* The stream is handed on as it is; the tower learns nothing. */
static int back(const struct op_back *b, struct err *e)
{
    (void)b;
    (void)e;
    return 0;
}

const struct op_kind op_deepstack = {.name = "deepstack",
                                     .inputs = 1,
                                     .local = 1,
                                     .check = check,
                                     .each = each,
                                     .back = back,
                                     .flops = 1,
                                     .moved = 3};
