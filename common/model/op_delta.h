/* SPDX-License-Identifier: Apache-2.0 */
/* op_delta - what op_delta.c and op_delta_back.c share; nobody else includes this. */
#ifndef PTQ_OP_DELTA_H
#define PTQ_OP_DELTA_H

#include "op.h"

/* y = scale x / |x| */
void delta_unit(const float *x, size_t n, float scale, float *y);
/* One row of a head. v [dv], y [dv]; q, k [dk] prepared; under [dv] is scratch. */
void delta_row(const struct delta_shape *s, float *state, const float *q, const float *k,
               const float *v, float beta, float fade, float *under, float *y);
/* [nseq + 1] where each sequence begins, and the end; the caller frees. NULL: no memory. */
size_t *delta_starts(const struct rows *r, struct err *e);
int delta_back(const struct op_back *b, struct err *e);

#endif
