/* forward_weights - token weights from attention concentration (RSQ: Sung et al., arXiv 2503.01820; code github.com/ylsung/rsq).
 *
 * r_t of a token = the attention it receives in the block, summed over heads and over the queries that see it, not divided by their number (the
 * default of that code), scaled within each sequence from [min, max] to [low, 1], then to mean 1. Attention is that of the checkpoint's own q and
 * k on the hidden states that the quantized blocks before gave; all sites of the block share it. Leaves out what the paper tries beside:
 * division by the number of queries, square roots, masks, quantiles. Private to the stage. */
#ifndef PTQ_FORWARD_WEIGHTS_H
#define PTQ_FORWARD_WEIGHTS_H

#include "forward.h"

/* w [T] = given [T] (NULL: 1) x r. A sequence whose tokens all receive the same (one token only, say) gets r = 1.
 * Returns the number of such sequences. */
size_t weights_scale(const struct rows *r, const double *received, double low, const float *given, float *w);

/* The same for a chunk with hidden states h before block b, whose QKV is loaded; *uniform is added to. */
int weights_make(struct block *b, const struct rows *r, const float *h, double low, const float *given, float *w, size_t *uniform,
                 struct err *e);

#endif
