/* SPDX-License-Identifier: Apache-2.0 */
/* blas_ref - plain loops with double sums: what blas.c is compared with in tests. Slow on
 * purpose, no library. */
#include "blas.h"

void ref_linear(size_t T, size_t N, size_t K, const float *x, size_t ldx, const float *w,
                size_t ldw, float *y, size_t ldy, int add)
{
    for (size_t t = 0; t < T; t++)
        for (size_t n = 0; n < N; n++) {
            double sum = add ? (double)y[t * ldy + n] : 0.0;

            for (size_t k = 0; k < K; k++)
                sum += (double)x[t * ldx + k] * (double)w[n * ldw + k];
            y[t * ldy + n] = (float)sum;
        }
}

void ref_gram(size_t T, size_t K, const float *x, size_t ldx, double *s, size_t lds)
{
    for (size_t i = 0; i < K; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0.0;

            for (size_t t = 0; t < T; t++)
                sum += (double)x[t * ldx + i] * (double)x[t * ldx + j];
            s[i * lds + j] = sum;
        }
}
