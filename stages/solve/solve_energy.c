/* SPDX-License-Identifier: Apache-2.0 */
/* solve_energy - see solve_energy.h. */
#include "solve_energy.h"

#include <stdlib.h>
#include <string.h>
#include "../../common/base/each_cpu.h"
#include "../../common/base/mem.h"
#include "../../common/tensor/blas.h"

#define LANES 32 /* sums that a row is added up in */

struct sums {
    double form, square;
};

struct run {
    const struct solve_job *j;
    struct sums *panel; /* of each panel of W'W */
};

EACH_BODY add_body(const double *restrict h, const float *restrict g, size_t n,
                   double *restrict lane)
{
    for (size_t k = 0; k + LANES <= n; k += LANES)
        for (size_t i = 0; i < LANES; i++)
            lane[i] += h[k + i] * (double)g[k + i];
    for (size_t k = n / LANES * LANES; k < n; k++)
        lane[k % LANES] += h[k] * (double)g[k];
}

static void add(const double *restrict h, const float *restrict g, size_t n, double *restrict lane);
EACH_CPU(add, (const double *restrict h, const float *restrict g, size_t n, double *restrict lane),
         (h, g, n, lane))

/* What is below the diagonal counts twice. */
static int take_panel(void *ctx, size_t row, size_t rows, const float *g, size_t ld, struct err *e)
{
    const struct run *run = ctx;
    const size_t K = run->j->K;
    struct sums *out = &run->panel[row / BLAS_GRAM_ROWS];
    double lane[LANES] = {0.0}, below = 0.0;

    (void)e;
    for (size_t r = 0; r < rows; r++) {
        const double own = (double)g[r * ld + row + r];

        add(run->j->H + (row + r) * K, g + r * ld, row + r, lane);
        out->form += run->j->H[(row + r) * K + row + r] * own;
        out->square += own;
    }
    for (size_t i = 0; i < LANES; i++)
        below += lane[i];
    out->form += 2.0 * below;
    return 0;
}

/* Rows as products take them: where they lie if they are bf16 or f32, else in room. */
static int rows_add(struct run *run, size_t first, size_t rows, float *room, struct par *p,
                    struct err *e)
{
    const struct solve_job *j = run->j;
    const size_t K = j->K;
    const char *w = (const char *)j->W + first * K * dtype_size(j->w_type);
    const uint16_t *x16 = j->w_type == DT_BF16 ? (const void *)w : NULL;

    if (room && dtype_to_f32(j->w_type, w, rows * K, room))
        return err_set(e, ERR_USE, "%s: weights are %s, not a float type", j->name,
                       dtype_name(j->w_type));
    return blas_gram_each(p, rows, K, x16,
                          x16    ? NULL
                          : room ? room
                                 : (const void *)w,
                          K, take_panel, run, e);
}

int solve_energy(const struct solve_job *j, struct par *p, double *form, double *square,
                 struct err *e)
{
    const size_t panels = j->K / BLAS_GRAM_ROWS + 1, most = j->N < ENERGY_ROWS ? j->N : ENERGY_ROWS;
    const int as_it_is = j->w_type == DT_BF16 || j->w_type == DT_F32;
    struct run run = {.j = j, .panel = mem_array(panels, sizeof *run.panel, e)};
    float *room = as_it_is ? NULL : mem_raw(most, j->K * sizeof *room, e);
    int rc = run.panel && (room || as_it_is) ? 0 : -1;

    *form = *square = 0.0;
    for (size_t n = 0; rc == 0 && n < j->N; n += most)
        rc = rows_add(&run, n, j->N - n < most ? j->N - n : most, room, p, e);
    for (size_t i = 0; rc == 0 && i < panels; i++) {
        *form += run.panel[i].form;
        *square += run.panel[i].square;
    }
    free(run.panel);
    free(room);
    return rc;
}
