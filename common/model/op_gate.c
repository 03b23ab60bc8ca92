/* SPDX-License-Identifier: Apache-2.0 */
/* op_gate - gate = silu(gate) * up, or gelu(gate) * up, or sigmoid(gate) * up, in place. Leaves
 * out: clamps (op_swiglu.c). */
#include "op.h"
#include "vec.h"

static int check(const struct program *p, const struct op *o, struct err *e)
{
    if (o->in[0] != o->out || p->slot[o->in[1]].width != p->slot[o->out].width)
        return err_set(e, ERR_USE, "a gate of %zu for rows of %zu", p->slot[o->out].width,
                       p->slot[o->in[1]].width);
    return o->gate.activation <= ACTIVATION_GELU_TANH || o->gate.activation == ACTIVATION_SIGMOID
               ? 0
               : err_set(e, ERR_USE, "this activation has no gate");
}

static void each(const struct op_args *a, size_t first, size_t count)
{
    for (size_t t = first; t < first + count; t++) {
        float *gate = a->out + t * a->width_out;
        const float *up = a->in[1] + t * a->width_out;

        if (a->op->gate.activation == ACTIVATION_GELU_TANH)
            vec_gelu_mul(gate, up, a->width_out);
        else if (a->op->gate.activation == ACTIVATION_SIGMOID)
            vec_sigmoid_mul(gate, up, a->width_out);
        else
            vec_silu_mul(gate, up, a->width_out);
    }
}

static void sigmoid_back(const float *gate, const float *up, size_t n, float *g, float *up_grad)
{
    for (size_t i = 0; i < n; i++) {
        const float s = vec_sigmoid(gate[i]);

        up_grad[i] += g[i] * s;
        g[i] *= up[i] * s * (1 - s);
    }
}

static void back_rows(const struct op_back *b, size_t first, size_t count, double *sum)
{
    const size_t n = b->a.width_out;

    (void)sum;
    for (size_t t = first; t < first + count; t++) {
        const float *gate = b->a.in[0] + t * n, *up = b->a.in[1] + t * n;

        if (b->a.op->gate.activation == ACTIVATION_GELU_TANH)
            vec_gelu_mul_back(gate, up, n, b->grad + t * n, b->grad_in[1] + t * n);
        else if (b->a.op->gate.activation == ACTIVATION_SIGMOID)
            sigmoid_back(gate, up, n, b->grad + t * n, b->grad_in[1] + t * n);
        else
            vec_silu_mul_back(gate, up, n, b->grad + t * n, b->grad_in[1] + t * n);
    }
}

static int back(const struct op_back *b, struct err *e)
{
    return op_back_tiles(b, 0, back_rows, e);
}

const struct op_kind op_gate = {.name = "gate",
                                .inputs = 2,
                                .local = 1,
                                .check = check,
                                .each = each,
                                .back = back,
                                .keeps = 1u << 0 | 1u << 1,
                                .flops = 4,
                                .moved = 3};
