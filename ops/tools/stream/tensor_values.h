/* SPDX-License-Identifier: Apache-2.0 */
/* tensor_values - elements of any type as numbers, their statistics and their differences: for
 * inspect and diff. */
#ifndef PTQ_TENSOR_VALUES_H
#define PTQ_TENSOR_VALUES_H

#include "../../../common/base/json.h"
#include "../../../common/tensor/tensor.h"

struct value_stats {
    size_t n, bad; /* bad: NaN or infinite; the rest looks at the others only */
    double min, max, mean, norm;
};
void values_stats(const struct tensor *t, struct value_stats *s);

struct value_diff {
    size_t n, different; /* elements, those whose bytes differ */
    double max_abs;      /* largest difference of two finite numbers */
};
/* Of tensors of the same type and shape. */
void values_compare(const struct tensor *a, const struct tensor *b, struct value_diff *d);

#endif
