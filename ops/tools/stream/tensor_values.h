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
    size_t n, different;      /* elements; those that differ, of tensors of one type by a bit */
    double max_abs;           /* largest difference of two finite numbers */
    double gap2, a2, b2, dot; /* sums over all such pairs; 0 where nothing differs */
};
/* Of tensors of the same shape. */
void values_compare(const struct tensor *a, const struct tensor *b, struct value_diff *d);
/* Norm of the difference, over the norm of the first. */
double values_error(const struct value_diff *d);
double values_cosine(const struct value_diff *d);

#endif
