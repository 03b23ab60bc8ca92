/* SPDX-License-Identifier: Apache-2.0 */
/* write_dynamic - what a GPTQ config says for all linears, and the rules for those that differ.
 * Private to the stage. */
#ifndef PTQ_WRITE_DYNAMIC_H
#define PTQ_WRITE_DYNAMIC_H

#include <stdint.h>
#include "../../common/base/json.h"
#include "write_plan.h"

struct dynamic_base {
    int bits, zeros, symmetric;
    int64_t group;
};

/* Bits, group and grid of the most linears (the first of equals); one must not be kept. */
struct dynamic_base dynamic_base(const struct plan *p);
/* The object "dynamic", empty when all linears are alike; NULL: out of memory. */
struct json *dynamic_rules(const struct plan *p, const struct dynamic_base *base);

#endif
