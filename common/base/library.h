/* SPDX-License-Identifier: Apache-2.0 */
/* library - a library that is loaded when its first function is asked for, not with every program
 * that only has a function which could call it. OpenBLAS and oneDNN take 20 ms and 7 MiB for
 * being there, and the former reads its kernels from the environment at that moment. */
#ifndef PTQ_LIBRARY_H
#define PTQ_LIBRARY_H

#include <stddef.h>
#include "err.h"

struct library_symbol {
    const char *name;
    void *at;     /* points to the pointer that is filled */
    int optional; /* NULL is left where the library has no such function */
};

/* Opens the library for the rest of the process and fills n symbols. ERR_SYS names the library,
 * or the function that it has not. Call it once (pthread_once). */
int library_load(const char *library, const struct library_symbol *symbols, size_t n,
                 struct err *e);

#endif
