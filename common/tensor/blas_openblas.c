/* SPDX-License-Identifier: Apache-2.0 */
/* blas_openblas - see blas_openblas.h. */
#include <pthread.h>
#include "../base/library.h"
#include "blas_openblas.h"

static struct openblas lib;
static struct err failure;

static void load(void)
{
    const struct library_symbol symbols[] = {{"cblas_dgemm", &lib.dgemm, 0},
                                             {"cblas_sgemm", &lib.sgemm, 0},
                                             {"cblas_dsyrk", &lib.dsyrk, 0},
                                             {"cblas_dtrsm", &lib.dtrsm, 0},
                                             {"openblas_get_corename", &lib.corename, 0},
                                             {"dpotrf_", &lib.dpotrf, 0},
                                             {"dtrtri_", &lib.dtrtri, 0},
                                             {"blas_memory_alloc", &lib.memory_alloc, 1},
                                             {"blas_memory_free", &lib.memory_free, 1}};

    library_load("libopenblas.so.0", symbols, sizeof symbols / sizeof symbols[0], &failure);
}

const struct openblas *openblas(struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    if (failure.kind == ERR_NONE)
        return &lib;
    if (e)
        *e = failure;
    return NULL;
}
