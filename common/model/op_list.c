/* SPDX-License-Identifier: Apache-2.0 */
/* op_list - the list of operations. */
#include "op.h"

static const struct op_kind *const kinds[] = {
    &op_norm,      &op_linear,   &op_bias,   &op_rope,
    &op_attention, &op_gate,     &op_add,    &op_route,
    &op_gather,    &op_scatter,  &op_cut,    &op_share,
    &op_choose,    &op_activate, &op_temper, &op_attention_sinks,
    &op_swiglu,    &op_concat,   &op_conv,   &op_decay,
    &op_delta,     &op_unit,     &op_times,  &op_experts_times,
    &op_deepstack, &op_lay,      &op_round};

const struct op_kind *op_at(size_t i)
{
    return i < sizeof kinds / sizeof kinds[0] ? kinds[i] : NULL;
}
