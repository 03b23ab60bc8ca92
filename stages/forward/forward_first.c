/* SPDX-License-Identifier: Apache-2.0 */
/* forward_first - see forward_first.h. */
#include "forward_first.h"

#include <stdio.h>

#define PIECE 256

static double squares(enum dtype type, const void *x, size_t n)
{
    const size_t size = dtype_size(type);
    float piece[PIECE];
    double sum = 0.0;

    for (size_t k = 0; k < n; k += PIECE) {
        const size_t m = n - k < PIECE ? n - k : PIECE;

        if (dtype_to_f32(type, (const char *)x + k * size, m, piece) < 0)
            return 0.0;
        for (size_t i = 0; i < m; i++)
            sum += (double)piece[i] * (double)piece[i];
    }
    return sum;
}

void first_look(struct first_found *f, const struct site *s, const struct acts_view *a,
                enum dtype type, const void *x)
{
    double energy = 0.0, weight = 0.0, first_energy = 0.0, first_weight = 0.0;
    size_t row = 0;

    for (size_t i = 0; i < a->nseq; i++)
        for (int32_t t = 0; t < a->lengths[i]; t++, row++) {
            const double w = a->w ? (double)a->w[row] : 1.0,
                         one = w *
                               squares(type, (const char *)x + row * a->K * dtype_size(type), a->K);

            energy += one;
            weight += w;
            first_energy += t == 0 ? one : 0.0;
            first_weight += t == 0 ? w : 0.0;
        }
    if (!(energy > 0.0) || first_energy / energy <= f->energy)
        return;
    f->block = s->block;
    snprintf(f->site, sizeof f->site, "%s", s->name);
    f->energy = first_energy / energy;
    f->weight = first_weight / weight;
}
