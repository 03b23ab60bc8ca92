/* SPDX-License-Identifier: Apache-2.0 */
/* blas_pace - see blas_pace.h. */
#include "blas_pace.h"

#include <math.h>
#include <stdlib.h>

#include "../base/clock.h"
#include "../base/mem.h"
#include "blas.h"

#define SIDE ((size_t)512)
#define MEASURE_S 0.1

static int product(float *a, struct err *e)
{
    return blas_sgemm(0, 0, SIDE, SIDE, SIDE, 1, a, SIDE, a + SIDE * SIDE, SIDE, 0,
                      a + 2 * SIDE * SIDE, SIDE, e);
}

int blas_pace(double *flops_s, struct err *e)
{
    float *a = mem_array(3 * SIDE * SIDE, sizeof *a, e);
    const double flops = 2.0 * (double)(SIDE * SIDE * SIDE);
    double until, best = 0;
    int rc = a ? 0 : -1;

    for (size_t i = 0; a && i < 2 * SIDE * SIDE; i++)
        a[i] = (float)(i % 7);
    if (a)
        rc = product(a, e); /* makes the kernel, which may take longer than all the rest */
    until = clock_thread() + MEASURE_S;
    while (rc == 0 && (clock_thread() < until || best <= 0)) {
        const double began = clock_thread();

        rc = product(a, e);
        best = fmax(best, flops / fmax(clock_thread() - began, 1e-9));
    }
    free(a);
    *flops_s = best;
    return rc;
}
