/* SPDX-License-Identifier: Apache-2.0 */
/* slide_linear - a linear while its rounding is learned (SliderQuant, arXiv 2603.25284, eq. 2):
 *
 *     W~ = W diag(alpha) + (A B)',  y = (x / alpha) Q(W~)'
 *
 * where what makes x divides it by alpha; or the linear does, by Q(W~) / alpha, where nothing can.
 *
 * Q rounds to the grid whose scales and zero points follow from the smallest and the largest W~ of
 * each group, each times a share of it that is learned too (OmniQuant's clipping); the scale is
 * rounded to its type first, so that Q is what codes will stand for. Gradients pass a rounding
 * as if it were none: codes inside the grid, its ends included, pass 1, those outside 0, and the
 * scale depends on the ends of its group; the zero point is a constant.
 *
 * Grids are those of equal steps. Results do not depend on threads. Private to the stage. */
#ifndef PTQ_SLIDE_LINEAR_H
#define PTQ_SLIDE_LINEAR_H

#include <stdint.h>
#include "../../common/base/par.h"
#include "../../common/format/grid.h"
#include "slide_param.h"

#define SLIDE_RANK 16 /* at most */

struct slide_shape {
    const struct grid *grid;
    int bits;
    int64_t group; /* -1: a whole row */
    enum dtype scale_type;
    int64_t zero_min; /* smallest zero point that may be chosen */
    int64_t rank;     /* of A B; 0: there is none */
    int clips;        /* shares of the ranges are learned */
    int scales;       /* alpha is learned where tensors can take it; */
    int scales_all;   /* where none can, too: for what never becomes a checkpoint */
};

struct slide_linear {
    const struct slide_shape *o;
    const char *name; /* borrowed */
    size_t N, K, G, width;
    size_t columns;            /* the inputs before this one are rounded; K: all */
    float *w;                  /* [N,K] as the checkpoint has it; owned */
    struct slide_param a, b;   /* [rank,K], [rank,N] */
    struct slide_param lo, hi; /* [N,G] logits of the shares of the smallest and the largest */
    struct slide_param *alpha; /* [K], shared by those that read the same; NULL: all 1; borrowed */
    int divided;               /* its inputs are by alpha */
    double *scale;             /* [N,G] by the last rounding */
    uint8_t *zero;             /* [N,G] */
};

/* Takes w over, also on an error. A is drawn from (seed, stream), so is nothing else. */
int slide_linear_init(struct slide_linear *l, const struct slide_shape *o, const char *name,
                      size_t N, size_t K, float *w, uint64_t seed, uint64_t stream, struct err *e);
void slide_linear_release(struct slide_linear *l);
/* out [N,K] = Q(W~), or that / alpha: what its inputs meet; codes [N,K]: NULL, or those of Q.
 * ERR_DATA: a scale overflows its type. */
int slide_linear_round(struct slide_linear *l, struct par *p, float *out, uint8_t *codes,
                       struct err *e);
/* x [K]: row n of W~. */
void slide_linear_target(const struct slide_linear *l, size_t n, double *x);
/* From g [N,K], the gradient of what slide_linear_round has written to out, those of all
 * parameters; of alpha it is added. room [N,K] is written over. */
int slide_linear_back(struct slide_linear *l, struct par *p, const float *out, const float *g,
                      float *room, struct err *e);

#endif
