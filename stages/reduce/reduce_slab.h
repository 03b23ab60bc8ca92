/* SPDX-License-Identifier: Apache-2.0 */
/* reduce_slab - the large arrays of a reducer (S, D) within a memory budget; what does not fit
 * lies in a spill file.
 *
 * A slab is an array of doubles that is in memory while it is used, and else may be in the file.
 * When a new one, or one that comes back, does not fit, that of the highest rank goes first. One
 * in use never goes: where those alone take more than the budget, they have it (slabs_held
 * tells). The file is unlinked at once, so nothing is left behind. What lies where changes no
 * number. Private to the stage. */
#ifndef PTQ_REDUCE_SLAB_H
#define PTQ_REDUCE_SLAB_H

#include <stddef.h>
#include <stdint.h>
#include "../../common/base/err.h"

struct slabs;

/* Of one owner, who keeps it as long as its slabs; a change of rank counts at once. */
struct slab_home {
    struct slabs *slabs;
    uint64_t rank;
};

struct slab {
    double *at; /* NULL: in the file */
    size_t count;
    const struct slab_home *home;
    unsigned uses;
    uint64_t place; /* in the file, in bytes; when it is there */
    struct slab *prev, *next;
};

/* tmp_dir: borrowed */
struct slabs *slabs_open(uint64_t budget, const char *tmp_dir, struct err *e);
void slabs_close(struct slabs **a); /* after the last slab is destroyed or taken */
/* most bytes in memory at once, those kept for the next slab included */
uint64_t slabs_held(const struct slabs *a);
uint64_t slabs_spilled(const struct slabs *a); /* most bytes the file had */

/* zeros, in use */
struct slab *slab_create(const struct slab_home *home, size_t count, struct err *e);
/* ->at is valid until as many slab_leave as slab_use */
int slab_use(struct slab *x, struct err *e);
/* slab_use; *x NULL: slab_create */
int slab_ready(struct slab **x, const struct slab_home *home, size_t count, struct err *e);
void slab_leave(struct slab *x);
/* *to += *from, element by element, wherever they lie; *to NULL: moved to this home. *from is
 * consumed. */
int slab_merge(struct slab **to, struct slab **from, const struct slab_home *home, struct err *e);
/* The array of one in use becomes the caller's (share_free), the slab goes. */
double *slab_take(struct slab **x);
void slab_destroy(struct slab **x); /* accepts NULL */

#endif
