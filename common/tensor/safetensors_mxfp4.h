/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors_mxfp4 - a stack of matrices that a checkpoint keeps in MXFP4 (gpt-oss as it is
 * published) is one tensor of BF16, unpacked as it is read: NAME_blocks U8 [E, N, K/32, 16], two
 * numbers of E2M1 in a byte, the first in its low half, and NAME_scales U8 [E, N, K/32], E8M0, are
 * NAME [E, K, N], turned as transformers turns them. Exact: BF16 holds every such number but those
 * beyond its range, which become infinite, as a scale of 255 becomes NaN: readers refuse both.
 * Between the safetensors_*.c files alone. */
#ifndef PTQ_SAFETENSORS_MXFP4_H
#define PTQ_SAFETENSORS_MXFP4_H

#include "safetensors.h"

/* Puts one entry in the place of each such pair. -1: a part of one is missing or does not fit. */
int mxfp4_view(struct st_set *s, struct err *e);
/* Elements of one of its matrices. */
uint64_t mxfp4_matrix(const struct st_entry *x);
/* Rows [first, first + rows) of a turned part, of BF16, where a reader of [N, K] wants them. */
int mxfp4_rows(const struct st_set *s, const struct st_entry *x, uint64_t first, uint64_t rows,
               uint16_t *dst, struct err *e);
/* n bytes of x from byte `skip` on, as if it were stored. A matrix is unpacked for whatever part of
 * it is asked for. */
int mxfp4_span(const struct st_set *s, const struct st_entry *x, void *dst, size_t n, uint64_t skip,
               struct err *e);

#endif
