/* SPDX-License-Identifier: Apache-2.0 */
/* sparse - the weights of a linear that stand beside its codes, in the type of the source: what
 * their codes stand for does not count (SqueezeLLM, GWQ). By rows: those of row n are the numbers
 * end[n - 1] to end[n] - 1, by rising columns. */
#ifndef PTQ_SPARSE_H
#define PTQ_SPARSE_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../tensor/dtype.h"

struct sparse {
    size_t count;          /* 0: none, nothing below is looked at */
    const int32_t *end;    /* [N] */
    const int32_t *column; /* [count] */
    const void *value;     /* [count] */
    enum dtype type;       /* of the values, a float type */
};

/* The first of row n; that of row n + 1 is its end. */
size_t sparse_first(const struct sparse *s, size_t n);
/* w [width] = columns from, from + 1, ... of row n: those that stand beside the codes are put in.
 */
void sparse_put(const struct sparse *s, size_t n, size_t from, size_t width, double *w);
/* Ends and columns of a linear [N,K], as they were read: `what` for errors. */
int sparse_check(const struct sparse *s, size_t N, size_t K, const char *what, struct err *e);

#endif
