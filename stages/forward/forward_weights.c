/* SPDX-License-Identifier: Apache-2.0 */
/* forward_weights - see forward_weights.h. */
#include "forward_weights.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/base/mem.h"

/* r of one sequence into w; 0: there is nothing to tell its tokens apart. */
static int scale_sequence(const double *received, size_t n, double low, float *w)
{
    double least = INFINITY, most = -INFINITY, sum = 0;

    for (size_t t = 0; t < n; t++) {
        least = fmin(least, received[t]);
        most = fmax(most, received[t]);
    }
    if (!(most > least) || !isfinite(most - least))
        return 0;
    for (size_t t = 0; t < n; t++)
        sum += low + (1 - low) * ((received[t] - least) / (most - least));
    for (size_t t = 0; t < n; t++)
        w[t] =
            (float)((low + (1 - low) * ((received[t] - least) / (most - least))) * (double)n / sum);
    return 1;
}

size_t forward_weights_scale(const struct rows *r, const double *received, double low, float *w)
{
    size_t at = 0, uniform = 0;

    for (size_t s = 0; s < r->nseq; at += (size_t)r->lengths[s++])
        if (!scale_sequence(received + at, (size_t)r->lengths[s], low, w + at)) {
            uniform++;
            for (size_t t = 0; t < (size_t)r->lengths[s]; t++)
                w[at + t] = 1;
        }
    return uniform;
}

int forward_weights_make(struct block *b, const struct rows *r, const float *h, double low,
                         float *w, size_t *uniform, struct err *e)
{
    double *received = mem_raw(r->T, sizeof *received, e);
    int rc = received ? block_received(b, r, h, received, e) : -1;

    if (rc == 0)
        *uniform += forward_weights_scale(r, received, low, w);
    free(received);
    return rc;
}

size_t forward_weights_share(const struct rows *r, const uint8_t *modality,
                             const double ratio[MODALITIES], const struct weigh_clip *c, float *w)
{
    size_t zero = 0;

    for (size_t t = 0; modality && t < r->T; t++)
        w[t] = (float)((double)w[t] * ratio[modality[t]]);
    for (size_t s = 0; s < r->nseq; w += r->lengths[s++])
        zero += !weigh_normal(w, (size_t)r->lengths[s], c);
    return zero;
}
