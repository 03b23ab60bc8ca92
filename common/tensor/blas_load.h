/* SPDX-License-Identifier: Apache-2.0 */
/* blas_load - libraries of products that are loaded when the first product is asked for.
 *
 * OpenBLAS takes its kernels from the environment and starts its threads while it is loaded, and
 * takes 20 ms and 15 MiB for that: too much for every program that only has a function which
 * could multiply, and too early for blas_start to say which kernels. Nobody outside
 * common/tensor includes this. */
#ifndef PTQ_BLAS_LOAD_H
#define PTQ_BLAS_LOAD_H

#include <stddef.h>
#include "../base/err.h"

struct blas_symbol {
    const char *name;
    void *at;     /* points to the pointer that is filled */
    int optional; /* NULL is left where the library has no such function */
};

/* Opens the library for the rest of the process and fills n symbols. ERR_SYS names the library,
 * or the function that it has not. Call it once (pthread_once). */
int blas_load(const char *library, const struct blas_symbol *symbols, size_t n, struct err *e);

#endif
