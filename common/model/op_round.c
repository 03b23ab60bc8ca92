/* SPDX-License-Identifier: Apache-2.0 */
/* op_round - each row, or each head of it, to the nearest of 2^bits whole numbers times a scale of
 * its own: what engines do with the inputs of a linear that they multiply in few bits. Symmetric,
 * dynamic, per token: scale = max |x| / ((2^bits - 1) / 2), as compressed-tensors has it (vLLM
 * divides by 2^(bits-1) - 1). Where the block runs as the full-precision model does, the row as it
 * is. The way back is straight through. */
#include <math.h>
#include <string.h>

#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    const struct program_slot *from = &p->slot[o->in[0]], *to = &p->slot[o->out];

    if (o->in[0] == o->out || from->width != to->width)
        return err_set(e, ERR_USE, "rows of %zu become rows of %zu", from->width, to->width);
    if (o->round.width && from->width % o->round.width)
        return err_set(e, ERR_USE, "rows of %zu are not of heads of %zu", from->width,
                       o->round.width);
    return o->round.bits >= ACT_BITS_MIN && o->round.bits <= ACT_BITS_MAX
               ? 0
               : err_set(e, ERR_USE, "activations of %d bits (%d to %d)", o->round.bits,
                         ACT_BITS_MIN, ACT_BITS_MAX);
}

void round_row(int bits, const float *x, size_t n, float *y)
{
    const float low = -(float)(1 << (bits - 1)), high = -low - 1, half = (high - low) / 2;
    float most = 0, scale;

    for (size_t i = 0; i < n; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    scale = most / half;
    for (size_t i = 0; i < n; i++) {
        const float q = scale > 0 ? rintf(x[i] / scale) : 0;

        y[i] = scale * (q < low ? low : q > high ? high : q);
    }
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    const size_t n = a->width_out, width = a->op->round.width ? a->op->round.width : n;

    if (a->exact) {
        memcpy(a->out + first * n, a->in[0] + first * n, count * n * sizeof *a->out);
        return;
    }
    for (size_t i = first * n; i < (first + count) * n; i += width)
        round_row(a->op->round.bits, a->in[0] + i, width, a->out + i);
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t n = b->a.width_out;

    (void)sum;
    vec_add(b->grad_in[0] + first * n, b->grad + first * n, count * n);
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

const struct op_kind op_round = {.name = "round",
                                 .inputs = 1,
                                 .local = 1,
                                 .check = check,
                                 .each = each,
                                 .back = back,
                                 .flops = 4,
                                 .moved = 3};
