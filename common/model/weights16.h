/* SPDX-License-Identifier: Apache-2.0 */
/* weights16 - the weights of a linear in bf16, and, where that is asked for, what was left of them
 * when they were rounded, in bf16 too: both together are the weights to 2^-17 of each. */
#ifndef PTQ_WEIGHTS16_H
#define PTQ_WEIGHTS16_H

#include <stddef.h>
#include <stdint.h>
#include "../base/err.h"
#include "../base/par.h"

struct weights16 {
    uint16_t *w, *rest; /* [N, K], owned; rest NULL: not asked for, or all of it 0 */
};

/* Rows [first, first + count) of a matrix into w [count, K]. */
struct weights_source {
    int (*rows)(void *ctx, size_t first, size_t count, float *w, struct err *e);
    void *ctx;
};

/* Takes some rows at a time: all of them in f32 are nowhere. Weights that bf16 cannot hold are
 * ERR_DATA. */
int weights16_make(struct weights16 *h, size_t N, size_t K, int rest,
                   const struct weights_source *from, struct err *e);
/* The same of w [N, K] by the threads of p, in the room of what h had before, which was of as many.
 * On an error h is to be released. */
int weights16_round(struct weights16 *h, struct par *p, size_t N, size_t K, int rest,
                    const float *w, struct err *e);
void weights16_release(struct weights16 *h);

#endif
