/* SPDX-License-Identifier: Apache-2.0 */
/* blas_openblas - the functions of OpenBLAS and its LAPACK, loaded when they are asked for first.
 * Nobody outside common/tensor includes this. */
#ifndef PTQ_BLAS_OPENBLAS_H
#define PTQ_BLAS_OPENBLAS_H

#include <cblas.h>
#include <stddef.h>
#include "../base/err.h"

/* The last numbers of LAPACK's functions are the lengths of their texts, as Fortran has it. */
struct openblas {
    __typeof__(cblas_dgemm) *dgemm;
    __typeof__(cblas_sgemm) *sgemm;
    __typeof__(cblas_dsyrk) *dsyrk;
    __typeof__(cblas_dtrsm) *dtrsm;
    __typeof__(openblas_get_corename) *corename;
    void (*dpotrf)(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);
    void (*dtrtri)(const char *uplo, const char *diag, const int *n, double *a, const int *lda,
                   int *info, size_t, size_t);
    void *(*memory_alloc)(int place); /* in no header of the library; NULL where it has none */
    void (*memory_free)(void *buffer);
};

/* For the rest of the process. NULL, with the reason in e (which may be NULL): not installed. */
const struct openblas *openblas(struct err *e);

#endif
