/* SPDX-License-Identifier: Apache-2.0 */
/* arena - memory that is freed as a whole. The owner of the arena sets max, and releases it. */
#ifndef PTQ_ARENA_H
#define PTQ_ARENA_H

#include <stddef.h>
#include "../base/err.h"

struct arena_page;
struct arena {
    struct arena_page *page;
    size_t used, max; /* bytes in all */
};

/* n bytes of zeros, or NULL: more than max, or no memory. */
void *arena_get(struct arena *a, size_t n, struct err *e);
void arena_release(struct arena *a);

#endif
