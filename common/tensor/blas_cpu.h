/* SPDX-License-Identifier: Apache-2.0 */
/* blas_cpu - what blas.c and blas_start.c want to know about the CPU. */
#ifndef PTQ_BLAS_CPU_H
#define PTQ_BLAS_CPU_H

struct blas_cpu {
    int avx2, avx512; /* with FMA; with DQ, BW and VL */
    int bf16, amx;    /* products of bf16 in hardware; by tiles */
};

struct blas_cpu blas_cpu(void);

#define BLAS_KIND 64
/* "SkylakeX avx512 bf16 amx onednn": the kernels that a program started here takes. Hosts of
 * which it differs differ in the last bits of what they compute. */
void blas_kind(char out[BLAS_KIND]);

#endif
