/* SPDX-License-Identifier: Apache-2.0 */
/* solve_damp - see solve_damp.h. */
#include "solve_damp.h"

#include <math.h>
#include "../../common/tensor/inverse.h"

size_t damp_dead(const struct solve_opts *o, size_t K, const double *H, double *diag, uint8_t *dead)
{
    size_t count = 0;
    double sum = 0.0, fill = 1.0;

    for (size_t k = 0; k < K; k++) {
        diag[k] = H[k * K + k];
        dead[k] = !(diag[k] > 0.0) && !(diag[k] < 0.0);
        count += dead[k];
        sum += diag[k];
    }
    if (o->dead == DEAD_KEEP && count < K)
        fill = sum / (double)(K - count);
    for (size_t k = 0; k < K; k++)
        if (dead[k])
            diag[k] = fill;
    return count;
}

void damp_diag(const struct solve_opts *o, size_t K, const double *H, double *diag, uint8_t *dead)
{
    double mean = 0.0;

    damp_dead(o, K, H, diag, dead);
    for (size_t k = 0; k < K; k++)
        mean += diag[k] / (double)K;
    for (size_t k = 0; k < K; k++)
        diag[k] += o->damp * mean;
}

int damp_factor(const struct solve_opts *o, size_t K, const double *H, const double *diag,
                const size_t *order, int direct, double *U, double *added, struct solve_stats *st,
                struct par *p, struct err *e)
{
    struct inverse_used used;

    if ((direct ? direct_factor : inverse_factor)(o->damp, K, H, diag, order, U, &used, p, e) < 0)
        return -1;
    for (size_t k = 0; added && k < K; k++)
        added[k] = fmax(diag[k], used.least) + used.add - H[k * K + k];
    st->damp = used.damp;
    st->attempts += used.attempts;
    st->fallback = used.fallback ? used.fallback : st->fallback;
    return 0;
}
