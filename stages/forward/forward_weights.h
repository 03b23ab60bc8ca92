/* SPDX-License-Identifier: Apache-2.0 */
/* forward_weights - token weights from attention and from modality.
 *
 * From attention concentration (RSQ: Sung et al., arXiv 2503.01820; code github.com/ylsung/rsq):
 * r_t of a token = the attention it receives in the block, summed over heads and over the
 * queries that see it, not divided by their number (the default of that code), scaled within
 * each sequence from [min, max] to [low, 1], then to mean 1. Attention is that of the
 * checkpoint's own q and k on the hidden states that the quantized blocks before gave; all sites
 * of the block share it. Leaves out what the paper tries beside: division by the number of
 * queries, square roots, masks, quantiles. From modality: one ratio for text and one for image
 * (MBQ, arXiv 2412.19509), the same in every block; MBQ's own ratios come from gradients, here
 * they are given. Private to the stage. */
#ifndef PTQ_FORWARD_WEIGHTS_H
#define PTQ_FORWARD_WEIGHTS_H

#include "../../common/model/model.h"
#include "../../common/model/weigh.h"
#include "../../common/wire/modality.h"

/* w [T] = r. A sequence whose tokens all receive the same (one token only, say) gets r = 1.
 * Returns the number of such sequences. */
size_t forward_weights_scale(const struct rows *r, const double *received, double low, float *w);

/* The same for a chunk with hidden states h before block b, for which block_load_received was
 * called; *uniform is added to. */
int forward_weights_make(struct block *b, const struct rows *r, const float *h, double low,
                         float *w, size_t *uniform, struct err *e);

/* w [T] times the ratio of each token's modality (NULL: none), clipped and at mean 1 in each
 * sequence (weigh.h). Returns the number of sequences that only had weights of 0. */
size_t forward_weights_share(const struct rows *r, const uint8_t *modality,
                             const double ratio[MODALITIES], const struct weigh_clip *c, float *w);

#endif
